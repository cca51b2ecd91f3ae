"""What a run left: a picture of the host before and after, and the contents of an engine.

`python -m tests.host.leaks save FILE` and `python -m tests.host.leaks compare FILE` do it around any command.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.host import processes
from tests.host.engines import DockerEngine

PROGRAMS = re.compile(
    r"(dockerd|containerd|docker-proxy|docker-registry|podman|conmon|crun|runc|netavark|aardvark-dns|minicri"
    r"|tests\.host|pytest)"
)
"""Processes that a run of ours may have started; a host has others that come and go."""
SYSCTLS = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")
_CGROUP_LEVELS = 4
_SETTLE = 30.0


@dataclass(frozen=True)
class Snapshot:
    """What is on the host, each kind as a sorted list of lines that a person can read."""

    processes: list[str]
    mounts: list[str]
    interfaces: list[str]
    firewall: list[str]
    cgroups: list[str]
    sysctls: list[str]
    directories: list[str]

    @classmethod
    def take(cls) -> Snapshot:
        return cls(
            processes=sorted(_processes()),
            mounts=sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
            interfaces=sorted(path.name for path in Path("/sys/class/net").iterdir()),
            firewall=sorted(_firewall()),
            cgroups=sorted(_cgroups()),
            sysctls=[f"{name}={Path('/proc/sys', name).read_text().strip()}" for name in SYSCTLS],
            directories=sorted(str(path) for path in Path("/var/tmp").glob("minicri-*")),
        )

    def lines(self) -> list[str]:
        """Everything, less directories: one line each, with its kind."""
        return [f"{kind}: {item}" for kind, items in asdict(self).items() if kind != "directories" for item in items]

    def changes_since(self, before: Snapshot) -> list[str]:
        """What came (+) and what went (-), one line each. Processes that ended are no leak."""
        lines = []
        old, new = asdict(before), asdict(self)
        for kind, items in new.items():
            lines += [f"+ {kind}: {item}" for item in items if item not in old[kind]]
            if kind != "processes":
                lines += [f"- {kind}: {item}" for item in old[kind] if item not in items]
        return lines


def wait_for_no_changes(before: Snapshot, keep: Callable[[str], bool] = lambda line: True) -> list[str]:
    """The changes since `before` that `keep` lets through and that are still there after some seconds.

    A keeper that cleans up after a killed run needs a moment, and so does the kernel to end what was killed.
    """
    deadline = time.monotonic() + _SETTLE
    while True:
        left = [line for line in Snapshot.take().changes_since(before) if keep(line)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def engine_contents(engine: DockerEngine) -> list[str]:
    """The engine's containers, networks of users, and volumes, one line each."""
    with contextlib.closing(engine.client()) as client:
        containers = client.api.containers(all=True)
        networks = client.api.networks(filters={"type": "custom"})
        volumes = client.api.volumes()["Volumes"] or []
    return [
        *(f"container {item['Id'][:12]} {item['Names']} {item['Status']} {item['Labels']}" for item in containers),
        *(f"network {item['Name']} {item['Labels']}" for item in networks),
        *(f"volume {item['Name']} {item['Labels']}" for item in volumes),
    ]


def _processes() -> list[str]:
    found = []
    for pid in set(processes.pids()) - processes.ancestors():
        command = " ".join(processes.command(pid))
        if PROGRAMS.search(command) and not processes.is_zombie(pid):
            found.append(f"{pid}@{processes.started_at(pid)} {command}")
    return found


def _firewall() -> list[str]:
    """The rules and chains, without their counters. The kernel's own chains that let everything through come with a
    look at a table, and say nothing."""
    lines = []
    for program in ("iptables-save", "ip6tables-save"):
        if found := shutil.which(program, path="/usr/sbin:/sbin:/usr/bin"):
            saved = subprocess.run([found], capture_output=True, text=True, timeout=10).stdout
            for line in saved.splitlines():
                if line.startswith("*"):
                    table = line[1:]
                elif line.startswith((":", "-")) and " ACCEPT [" not in line:
                    lines.append(f"{program.removesuffix('-save')} -t {table} {line.partition('[')[0].strip()}")
    return lines


def _cgroups() -> list[str]:
    root = Path("/sys/fs/cgroup")
    patterns = ("/".join("*" * level) for level in range(1, _CGROUP_LEVELS))
    # Unlike Path.glob this passes over a directory that goes meanwhile: other engines end, too.
    found = (Path(path) for pattern in patterns for path in glob.iglob(f"{root}/{pattern}"))
    return [str(path) for path in found if path.is_dir()]


def main(arguments: list[str]) -> int:
    verb, file = arguments
    if verb == "save":
        Path(file).write_text(json.dumps(asdict(Snapshot.take())))
        return 0
    left = wait_for_no_changes(Snapshot(**json.loads(Path(file).read_text())))
    for line in left:
        print(line)
    print("the host is as it was" if not left else f"{len(left)} differences on the host")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
