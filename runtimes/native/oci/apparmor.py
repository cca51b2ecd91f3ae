"""The AppArmor profile that RuntimeDefault means, on hosts that have AppArmor."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cri.errors import FailedPrecondition
from runtimes.native import programs
from runtimes.native.oci.security import APPARMOR_PROFILE

LOADED = Path("/sys/kernel/security/apparmor/profiles")
PARSER = "apparmor_parser"
_TIMEOUT = 30.0

PROFILE = f"""\
#include <tunables/global>

profile {APPARMOR_PROFILE} flags=(attach_disconnected,mediate_deleted) {{
  # What a container may do in its namespaces is bounded by these and by its capabilities.
  network,
  capability,
  file,
  umount,

  # Its processes may signal and trace each other; those outside may signal it.
  signal (receive) peer=unconfined,
  signal (send,receive) peer={APPARMOR_PROFILE},
  ptrace (trace,read,tracedby,readby) peer={APPARMOR_PROFILE},

  deny mount,

  # Of /proc it writes only what is a process's own, and of the sysctls those of its ipc and network.
  deny @{{PROC}}/[^0-9s]** wl,
  deny @{{PROC}}/s[^ey]** wl,
  deny @{{PROC}}/sysrq-trigger rwkl,
  deny @{{PROC}}/sysvipc/** wl,
  deny @{{PROC}}/kcore rwklx,
  deny @{{PROC}}/sys/[^kn]** wl,
  deny @{{PROC}}/sys/kernel/[^ms]** wl,

  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""


async def load(profiles: Path = LOADED) -> None:
    """Put the profile into the kernel, unless it is there. Raises FailedPrecondition without AppArmor's own tool."""
    if await asyncio.to_thread(_is_loaded, profiles):
        return
    ended = await programs.run([PARSER, "--replace", "--skip-cache"], timeout=_TIMEOUT, stdin=PROFILE.encode())
    if ended.code:
        raise FailedPrecondition(f"AppArmor does not take the profile {APPARMOR_PROFILE}: {ended.words}")


def _is_loaded(profiles: Path) -> bool:
    return any(line.partition(" ")[0] == APPARMOR_PROFILE for line in profiles.read_text().splitlines())
