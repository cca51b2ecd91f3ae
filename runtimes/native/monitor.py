"""conmon, the monitor of one container: its parent, its log's writer, the witness of its end. It outlives this process.

What it is told at its start are arguments and two pipes; later a pipe in the bundle (see ``shared.monitor_log``) and a
socket there (see ``attach_socket``) are the ways to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from cri.errors import DeadlineExceeded, FailedPrecondition, Unavailable
from runtimes.native import kernel, programs, stragglers
from runtimes.native.oci_runtime import OciRuntime
from runtimes.native.places import Places
from runtimes.shared.descriptors import readable

_SAID_LIMIT = 1 << 16
_ENVIRONMENT = ("PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""What it needs of ours; anything else is none of its business."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How one container is to be watched. ``log`` is empty for none."""

    container_id: str
    log: str
    terminal: bool
    stdin: bool
    stdin_once: bool


@dataclass(frozen=True, slots=True)
class Started:
    """Pids of the container's first process, which waits to be let go, and of its monitor."""

    pid: int
    monitor_pid: int


class StartRefused(Exception):
    """The OCI runtime could not make the container; in its own words."""


class Monitors:
    """Starts them and knows their files."""

    def __init__(self, program: str, places: Places, timeout: float) -> None:
        self._program = program
        self._places = places
        self._timeout = timeout

    def control(self, container_id: str) -> Path:
        """The pipe for its orders."""
        return self._places.container(container_id) / "ctl"

    def exit_file(self, container_id: str) -> Path:
        """It is there, with the exit code in it, once the container has ended and its log is complete."""
        return self._places.exits / container_id

    def pids(self, container_id: str) -> Started:
        """As they are noted in the bundle; 0 for what is not there."""
        bundle = self._places.container(container_id)
        return Started(_number(bundle / "pid"), _number(bundle / "monitor.pid"))

    async def launch(self, runtime: OciRuntime, wish: Wish) -> Started:
        """Create the container under a monitor; it waits for ``OciRuntime.start`` then. Raises StartRefused, in the
        OCI runtime's words; FailedPrecondition without conmon, DeadlineExceeded. A failure leaves no process."""
        self._places.exits.mkdir(mode=0o700, parents=True, exist_ok=True)
        answer, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                await self._spawn(runtime, wish, theirs)
            finally:
                os.close(theirs)
            pid = _verdict(await self._hear(answer))
        except BaseException:
            await self.take_back(wish.container_id)
            raise
        finally:
            os.close(answer)
        return Started(pid, self.pids(wish.container_id).monitor_pid)

    async def take_back(self, container_id: str) -> None:
        """End a launch, however far it is: who began it may be dead. What it has made by then is left."""
        await stragglers.end(lambda: stragglers.told(container_id, "--cid"))
        # This is seen out, as half a container is more than the OCI runtime can delete. The container's own process has
        # the same words until it is let go.
        await stragglers.see_out(lambda: stragglers.told(container_id, "create") - {self.pids(container_id).pid})

    async def kill(self, container_id: str) -> None:
        """End the monitor, if it is there; its container then has nobody to tell of its end."""
        pid = self.pids(container_id).monitor_pid
        if pid:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    # Looked at while held: the number may have been given to another process.
                    if is_monitor(pid, container_id):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                        await readable(handle)
                finally:
                    os.close(handle)

    async def _spawn(self, runtime: OciRuntime, wish: Wish, pipe: int) -> None:
        bundle = self._places.container(wish.container_id)
        command = [
            self._program,
            *("--api-version", "1"),
            *("--cid", wish.container_id, "--cuuid", wish.container_id, "--name", wish.container_id[:12]),
            *("--runtime", runtime.path),
            *(word for argument in runtime.arguments for word in ("--runtime-arg", argument)),
            *("--bundle", str(bundle), "--persist-dir", str(bundle), "--full-attach"),
            *("--container-pidfile", str(bundle / "pid"), "--conmon-pidfile", str(bundle / "monitor.pid")),
            *("--exit-dir", str(self._places.exits)),
            *("--log-path", f"k8s-file:{wish.log}" if wish.log else "none"),
            *("--no-sync-log", "--log-level", "error"),
        ]
        if wish.terminal:
            command.append("--terminal")
        if wish.stdin:
            command.append("--stdin")
            # Else the first client that goes takes the input with it.
            if not wish.stdin_once:
                command.append("--leave-stdin-open")
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment = programs.of_the_host(environment, rootless=kernel.is_rootless())
        environment["_OCI_SYNCPIPE"] = str(pipe)
        ended = await programs.run(
            command, timeout=self._timeout, environment=environment, pass_fds=[pipe], directory=bundle
        )
        if ended.code:
            raise FailedPrecondition(f"conmon does not start: {ended.words}")

    async def _hear(self, answer: int) -> bytes:
        """What the monitor says of the OCI runtime's success: a line, or the end of the pipe."""
        os.set_blocking(answer, False)
        said = b""
        try:
            async with asyncio.timeout(self._timeout):
                while not said.endswith(b"\n") and len(said) < _SAID_LIMIT:
                    await readable(answer)
                    piece = os.read(answer, _SAID_LIMIT)
                    if not piece:
                        break
                    said += piece
        except TimeoutError as error:
            raise DeadlineExceeded(f"the OCI runtime made no container within {self._timeout:g} s") from error
        return said


def is_monitor(pid: int, container_id: str) -> bool:
    """Whether the process with this pid is the monitor of the container now."""
    try:
        return container_id.encode() in Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _verdict(said: bytes) -> int:
    if not said:
        raise Unavailable("the container's monitor ended before it said anything; see the host's memory and limits")
    try:
        told = json.loads(said, strict=False)
        pid = int(told["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"the container's monitor said {said[:200]!r}") from error
    if pid <= 0:
        raise StartRefused(str(told.get("message") or "the OCI runtime gave no reason").strip())
    return pid


def _number(path: Path) -> int:
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        return 0
    return int(text) if text.isdecimal() else 0
