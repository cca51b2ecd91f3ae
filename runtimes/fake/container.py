"""One fake container from create to removal."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.fake import signals
from runtimes.fake.clock import Clock
from runtimes.fake.images import Image
from runtimes.fake.output import ContainerLog, Output
from runtimes.fake.pipes import Pipe, Sink, Terminal, closed_pipe
from runtimes.fake.process import Guest, Process, Program, Streams
from runtimes.fake.program_table import ProgramNotFound
from runtimes.fake.sandbox import Sandbox
from runtimes.fake.users import User

_LOST_CODE = 255
_START_ERROR_CODE = 128


@dataclass(frozen=True, slots=True)
class Command:
    """What a container runs, with the image's defaults filled in."""

    args: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    user: User


class Container:
    """``on_exit`` is called when the container has exited, after its status says so and its log is complete."""

    def __init__(
        self, identity: str, config: v1.ContainerConfig, sandbox: Sandbox, image: Image, command: Command,
        guest: Guest, clock: Clock, on_exit: Callable[[Container], None],
    ) -> None:  # fmt: skip
        self.id = identity
        self.config = config
        self.sandbox = sandbox
        self.image = image
        self.command = command
        self.guest = guest
        self.clock = clock
        self.state = v1.CONTAINER_CREATED
        self.created_at_ns = clock.now_ns()
        self.started_at_ns = 0
        self.finished_at_ns = 0
        self.exit_code = 0
        self.reason = ""
        self.explanation = ""
        self.stop_signal = signals.of_container(config, image.spec.stop_signal)
        self.stdout = Output("stdout")
        self.stderr = Output("stderr")
        self.stdin = Pipe() if config.stdin else closed_pipe()
        self.process: Process | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cpu_sample: tuple[int, int] | None = None
        self._on_exit = on_exit
        self._stop_signal_sent = False
        self._lost = False

    @property
    def running(self) -> bool:
        return self.state == v1.CONTAINER_RUNNING

    def start(self, program: Program | None = None) -> None:
        """Run the command, or ``program`` in its place. Raises FailedPrecondition unless CREATED, InvalidArgument for
        a command that the image does not have: the container has then exited, with the reason StartError.
        """
        if self.state != v1.CONTAINER_CREATED:
            state = v1.ContainerState.Name(self.state)
            raise FailedPrecondition(f"container {self.id} is {state}; only a CONTAINER_CREATED one can be started")
        path = self.sandbox.log_path(self.config.log_path)
        if path is not None:
            try:
                self.stdout.log = self.stderr.log = ContainerLog(path, self.clock)
            except OSError as error:
                raise FailedPrecondition(f"config.log_path: cannot write {path}: {error.strerror}") from error
        stdout: Sink = self.stdout
        stderr: Sink = self.stderr
        if self.config.tty:
            stdout = stderr = Terminal(self.stdout)
        try:
            self.process = self.guest.start(
                self.command.args, Streams(self.stdin, stdout, stderr), env=self.command.env, cwd=self.command.cwd,
                user=self.command.user, tty=self.config.tty, program=program,
            )  # fmt: skip
        except ProgramNotFound as error:
            self.fail_to_start(str(error))
            raise FailedPrecondition(f"config.command: {error}", details={"container_id": self.id}) from error
        self.state = v1.CONTAINER_RUNNING
        self.started_at_ns = self.clock.now_ns()
        self.process.exited.add_done_callback(self._process_exited)

    def fail_to_start(self, why: str) -> None:
        """It never ran: EXITED with the reason StartError."""
        self.explanation = why
        self._finish(_START_ERROR_CODE, "StartError")

    async def stop(self, timeout: float) -> None:
        """CRI: the stop signal once, SIGKILL after ``timeout`` seconds; of several calls the shortest wait counts."""
        if self.process is None or not self.running:
            return
        if timeout > 0:
            if not self._stop_signal_sent:
                self._stop_signal_sent = True
                self.process.signal(signals.to_number(self.stop_signal))
            if await self.clock.within(self.ended, timeout):
                return
        self.kill()
        await asyncio.shield(self.ended)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal from outside, as an administrator or the kernel would."""
        if self.process is not None:
            self.process.signal(number)

    def lose(self) -> None:
        """The process vanishes unseen. CRI: exit code 255, reason Unknown."""
        self._lost = True
        self.kill()

    def kill_for_memory(self) -> None:
        """The kernel's out-of-memory killer takes the process."""
        self.guest.oom_events += 1
        self.kill()

    def exec(self, args: Sequence[str], streams: Streams, *, tty: bool = False) -> Process:
        """Start another process. An image that was made up has no more commands than any other.

        Raises FailedPrecondition unless running, InvalidArgument for an unknown command.
        """
        if self.process is None or not self.running:
            state = v1.ContainerState.Name(self.state)
            raise FailedPrecondition(f"container {self.id} is {state}; a command needs a CONTAINER_RUNNING one")
        env = self.command.env if "TERM" in self.command.env or not tty else {**self.command.env, "TERM": "xterm"}
        try:
            program = self.guest.programs.registered(args[0])
            if program is None:
                raise ProgramNotFound(args[0])
            return self.guest.start(
                args, streams, env=env, cwd=self.command.cwd, user=self.command.user, tty=tty, program=program
            )
        except ProgramNotFound as error:
            raise InvalidArgument(f"cmd: {error}", details={"container_id": self.id}) from error

    def _process_exited(self, exited: asyncio.Future[int]) -> None:
        code = exited.result()
        if self._lost:
            self._finish(_LOST_CODE, "Unknown")
        elif code == 128 + signal.SIGKILL and self.guest.oom_events:
            self._finish(code, "OOMKilled")
        else:
            self._finish(code, "Error" if code else "Completed")

    def _finish(self, code: int, reason: str) -> None:
        if self.stdout.log is not None:
            self.stdout.log.close()
            self.stdout.log = self.stderr.log = None
        self.stdin.close()
        self.state = v1.CONTAINER_EXITED
        self.finished_at_ns = self.clock.now_ns()
        self.exit_code = code
        self.reason = reason
        self._on_exit(self)
        if not self.ended.done():
            self.ended.set_result(None)

    # --- what lists and status answer -----------------------------------------------------------------------

    def message(self) -> v1.Container:
        return v1.Container(
            id=self.id,
            pod_sandbox_id=self.sandbox.id,
            metadata=self.config.metadata,
            image=self.config.image,
            image_ref=self.image.id,
            image_id=self.image.id,
            state=self.state,
            created_at=self.created_at_ns,
            labels=self.config.labels,
            annotations=self.config.annotations,
        )

    def attributes(self) -> v1.ContainerAttributes:
        return v1.ContainerAttributes(
            id=self.id, metadata=self.config.metadata, labels=self.config.labels, annotations=self.config.annotations
        )

    def status(self) -> v1.ContainerStatus:
        """CRI: started_at is 0 while CREATED, finished_at 0 until the exit."""
        log_path = self.sandbox.log_path(self.config.log_path)
        status = v1.ContainerStatus(
            id=self.id,
            metadata=self.config.metadata,
            state=self.state,
            created_at=self.created_at_ns,
            started_at=self.started_at_ns,
            finished_at=self.finished_at_ns,
            exit_code=self.exit_code,
            image=self.config.image,
            image_ref=self.image.id,
            image_id=self.image.id,
            reason=self.reason,
            message=self.explanation,
            labels=self.config.labels,
            annotations=self.config.annotations,
            mounts=self.config.mounts,
            log_path=str(log_path or ""),
            stop_signal=self.stop_signal,
        )
        status.resources.linux.CopyFrom(self.config.linux.resources)
        user = self.command.user
        status.user.linux.CopyFrom(v1.LinuxContainerUser(uid=user.uid, gid=user.gid, supplemental_groups=user.groups))
        return status

    def info(self) -> dict[str, str]:
        """What ``verbose`` adds."""
        about = {
            "args": list(self.command.args),
            "cwd": self.command.cwd,
            "env": dict(self.command.env),
            "platform": str(self.image.platform),
            "processes": len(self.guest.processes),
            "sandboxID": self.sandbox.id,
        }
        return {"info": json.dumps(about)}
