"""The capabilities of Linux by name, and how CRI's lists of them are read. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cri.errors import InvalidArgument

ALL = "ALL"

NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
"""By number, as in <linux/capability.h>."""


def plain(field: str, names: Iterable[str]) -> list[str]:
    """``names`` in upper case without ``CAP_``. Raises InvalidArgument that names ``field`` for one that is none."""
    found = [name.upper().removeprefix("CAP_") for name in names]
    for name in found:
        if name != ALL and name not in NAMES:
            raise InvalidArgument(f"{field}: {name!r} is no capability; write NET_ADMIN, CAP_NET_ADMIN or ALL")
    return found
