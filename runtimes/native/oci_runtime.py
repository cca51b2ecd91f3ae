"""The OCI runtime, crun or runc, as the program it is: what it is told and what it answers."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cri.errors import FailedPrecondition
from runtimes.native import kernel, programs, stragglers
from runtimes.native.oci import weaknesses
from runtimes.native.oci.compiled import CompiledFilters
from runtimes.native.programs import Ended

KNOWN = ("crun", "runc")
"""In the order of preference."""

_HIERARCHIES = Path("/sys/fs/cgroup")

_log = logging.getLogger(__name__)

_SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def find_program(name: str, package: str) -> str:
    """The path of a program of the host. Raises FailedPrecondition that names the package which brings it."""
    found = shutil.which(name, path=_SEARCH)
    if found is None:
        raise FailedPrecondition(f"the program {name!r} is missing; install the package {package}")
    return found


def handlers(preferred: str) -> dict[str, str]:
    """The paths of the OCI runtimes that this host has, by name; the first one is the default. Raises
    FailedPrecondition when there is none."""
    if preferred:
        path = find_program(preferred, Path(preferred).name)
        found = {Path(path).name: path}
    else:
        found = {}
    for name in KNOWN[::-1] if _crun_gives_up(_HIERARCHIES) else KNOWN:
        if name not in found and (path_of := shutil.which(name, path=_SEARCH)):
            found[name] = path_of
    if not found:
        raise FailedPrecondition("neither crun nor runc is here; install the package crun")
    return found


def _crun_gives_up(hierarchies: Path) -> bool:
    """Whether cgroups v1 and v2 are mounted side by side, and hugetlb is not among v1's: then crun makes nothing."""
    side_by_side = (hierarchies / "unified").is_dir() and (hierarchies / "memory").is_dir()
    return side_by_side and not (hierarchies / "hugetlb").is_dir()


class OciRuntime:
    """One of them, with its own state under ``root``."""

    def __init__(self, path: str, root: Path, timeout: float, filters: CompiledFilters, *, driver: str) -> None:
        self.path = path
        self.filters = filters
        self.arguments = ["--root", str(root), *_cgroup_arguments(self.name, driver)]
        """Before the verb."""
        self._root = root
        self._timeout = timeout
        self._judged = False

    @property
    def name(self) -> str:
        return Path(self.path).name

    def protect(self, directory: Path) -> None:
        """Run the program from a read-only mount in ``directory`` from now on. crun keeps containers from writing to
        it by a copy of itself at each call, unless it lies where nobody can. Where it cannot be mounted it stays."""
        target = directory / self.name
        try:
            directory.mkdir(mode=0o711, exist_ok=True)
            if not target.exists():
                target.touch(0o755)
            if not (os.path.samefile(target, self.path) and os.statvfs(target).f_flag & os.ST_RDONLY):
                with contextlib.suppress(OSError):  # the program of before an upgrade, or one protected by half
                    kernel.unmount(target, kernel.MNT_DETACH | kernel.UMOUNT_NOFOLLOW)
                kernel.mount(self.path, target, "", kernel.MS_BIND)
                kernel.mount("", target, "", kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY)
        except OSError as error:
            _log.warning("%s is run from where it is: %s", self.path, error)
        else:
            self.path = str(target)

    async def version(self) -> str:
        """``1.8.1``; empty where it does not say."""
        words = (await self._call("--version")).stdout.decode().split()
        return words[words.index("version") + 1] if "version" in words[:-1] else ""

    async def judge(self) -> None:
        """Say in the log, once, what is known to be wrong with this version."""
        # Nothing is known of crun, whose start it would cost to ask each time that an engine is opened.
        if not self._judged and self.name == "runc":
            self._judged = True
            if wrong := weaknesses.of(self.name, await self.version()):
                _log.warning("%s", wrong)

    async def start(self, container_id: str) -> None:
        """Let the process of a created container go. Raises FailedPrecondition in the runtime's words."""
        # crun's word for it is a byte in a pipe, which needs no process. Where the pipe is another, it is asked.
        if self.name == "crun" and _open_gate(self.state_of(container_id) / "exec.fifo"):
            return
        _require(await self._call("start", container_id), f"container {container_id} cannot start")

    async def run_detached(self, container_id: str, bundle: Path, pid_file: Path) -> None:
        """Create and start at once, with nobody to watch it. Raises FailedPrecondition."""
        command = ["run", "--detach", "--bundle", str(bundle), "--pid-file", str(pid_file), container_id]
        _require(await self._call(*command), f"container {container_id} cannot start")

    def state_of(self, container_id: str) -> Path:
        """Its own directory for a container."""
        return self._root / container_id

    async def delete(self, container_id: str) -> None:
        """Kill it if it runs, and remove its cgroup and the runtime's own state; nothing there is fine."""
        if not (self.state_of(container_id)).exists():
            return
        ended = await self._call("delete", "--force", container_id)
        if ended.code and (self.state_of(container_id)).exists():
            # Two at once are in each other's way: a process that was killed may have left one.
            await stragglers.see_out(partial(stragglers.told, container_id, "delete"))
            ended = await self._call("delete", "--force", container_id)
        if ended.code and (self.state_of(container_id)).exists():
            _require(ended, f"container {container_id} cannot be deleted")

    async def state(self, container_id: str) -> str:
        """``created``, ``running``, ``stopped``, ``paused``; empty for one that the runtime does not know."""
        if not (self.state_of(container_id)).exists():
            return ""
        ended = await self._call("state", container_id)
        return str(json.loads(ended.stdout)["status"]) if not ended.code else ""

    async def update(self, container_id: str, resources: Mapping[str, Any]) -> None:
        """Change limits. Raises FailedPrecondition in the runtime's words."""
        ended = await self._call("update", "--resources", "-", container_id, stdin=json.dumps(resources).encode())
        _require(ended, f"the limits of container {container_id} cannot be changed")

    async def resume(self, container_id: str) -> None:
        """One that is not paused, or gone, is fine."""
        await self._call("resume", container_id)

    async def checkpoint(self, container_id: str, directory: Path, timeout: float) -> Ended:
        """Write an image of its processes into ``directory``, and let it run on."""
        work = str(directory.with_name(directory.name + ".work"))
        command = ["checkpoint", "--leave-running", "--image-path", str(directory), "--work-path", work, container_id]
        return await programs.run([self.path, *self.arguments, *command], timeout=timeout)

    async def _call(self, *arguments: str, stdin: bytes = b"") -> Ended:
        environment = programs.of_the_host(os.environ, rootless=kernel.is_rootless())
        command = [self.path, *self.arguments, *arguments]
        return await programs.run(command, timeout=self._timeout, stdin=stdin, environment=environment)


def _cgroup_arguments(runtime: str, driver: str) -> list[str]:
    """How the runtime is told who makes cgroups; runc finds out by itself that there are none."""
    if driver == "systemd":
        return ["--systemd-cgroup"]
    return ["--cgroup-manager=disabled"] if driver == "none" and runtime == "crun" else []


def _open_gate(fifo: Path) -> bool:
    """What ``crun start`` does; False where there is no process that waits there."""
    try:
        gate = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    try:
        # In this order: as long as the pipe has its name, the process counts as one that was not let go.
        os.write(gate, b"\0")
        fifo.unlink(missing_ok=True)
    finally:
        os.close(gate)
    return True


def _require(ended: Ended, what: str) -> None:
    if ended.code:
        raise FailedPrecondition(f"{what}: {ended.words}")
