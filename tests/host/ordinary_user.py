"""A user who is not root, made for a test and taken away with all that they run and have."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtimes.native import kernel
from tests.host import processes
from tests.host.errors import Unavailable

_TUN = Path("/dev/net/tun")
_SUBORDINATE = Path("/etc/subuid")
_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class OrdinaryUser:
    """``folder`` is theirs, with ``home`` and ``run`` in it."""

    name: str
    uid: int
    gid: int
    folder: Path

    def python(self, module: str, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a module of ours as this user. Neither this Python nor this project need be where the user may look:
        they see both in their own folder, and nobody else does."""
        shown = {Path(sys.base_prefix): self.folder / "python"}
        paths = []
        apart = [
            entry for entry in sys.path if os.path.isdir(entry) and not Path(entry).is_relative_to(sys.base_prefix)
        ]
        for number, entry in enumerate(dict.fromkeys([str(Path.cwd()), *apart])):
            shown[Path(entry)] = self.folder / f"path{number}"
            paths.append(str(self.folder / f"path{number}"))
        for target in shown.values():
            target.mkdir(exist_ok=True)
        program = self.folder / "python/bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder / "home"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "LD_LIBRARY_PATH": str(self.folder / "python/lib"),
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

        def become() -> None:
            kernel.unshare(kernel.Namespace.MNT)
            kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
            for source, target in shown.items():
                kernel.mount(source, target, "", kernel.MS_BIND | kernel.MS_REC)
            os.chdir(self.folder)
            os.setgroups([])
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)

        return subprocess.run(
            [str(program), "-m", module, *arguments],
            env=environment, preexec_fn=become, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def processes(self) -> list[int]:
        """All that are theirs by name; those of their subordinates go with the namespaces that these hold."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    ended = (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
                    if entry.stat().st_uid == self.uid and not ended:
                        found.append(int(entry.name))
        return found


@contextlib.contextmanager
def ordinary_user() -> Iterator[OrdinaryUser]:
    """With subordinate ids, and the right to make a tap device as on hosts with udev. Raises Unavailable."""
    if os.geteuid() != 0:
        raise Unavailable("making a user takes root")
    for program, package in {"useradd": "passwd", "newuidmap": "uidmap", "slirp4netns": "slirp4netns"}.items():
        if shutil.which(program) is None:
            raise Unavailable(f"no {program} on this host: install the package {package}")
    name = f"minicri{os.getpid()}"
    with contextlib.ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix="minicri-user-", dir="/tmp"))
        undo.callback(shutil.rmtree, folder)
        _call("useradd", "--no-create-home", "--user-group", "--home-dir", str(folder / "home"), name)
        undo.callback(_call, "userdel", name)
        if not any(line.startswith(f"{name}:") for line in _SUBORDINATE.read_text().splitlines()):
            _call("usermod", "--add-subuids", "2000000-2065535", "--add-subgids", "2000000-2065535", name)
        uid, gid = (int(_call("id", f"-{letter}", name)) for letter in "ug")
        user = OrdinaryUser(name, uid, gid, folder)
        folder.chmod(0o755)
        for directory in ("home", "run", "logs"):
            (folder / directory).mkdir(mode=0o700)
            os.chown(folder / directory, uid, gid)
        undo.callback(_end, user)
        undo.enter_context(_open_to_all(_TUN))
        yield user


@contextlib.contextmanager
def _open_to_all(device: Path) -> Iterator[None]:
    before = stat.S_IMODE(device.stat().st_mode)
    device.chmod(0o666)
    try:
        yield
    finally:
        device.chmod(before)


def _end(user: OrdinaryUser) -> None:
    """SIGKILL: with process 1 of their namespaces goes all that is in there."""
    for pid in user.processes():
        processes.kill(pid, 0.0, lambda found: found in user.processes())
    while user.processes():
        os.sched_yield()


def _call(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PATIENCE)
    if done.returncode:
        raise Unavailable(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout
