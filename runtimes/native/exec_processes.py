"""The commands in containers: each is started with a folder and a lock of its own, and ended with its owner."""

from __future__ import annotations

import asyncio
import glob
import json
import logging
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from cri.errors import FailedPrecondition
from runtimes.native import cgroup_tree, programs
from runtimes.native.container_parts import ContainerParts
from runtimes.native.containers import Containers
from runtimes.native.ends import Ends
from runtimes.native.exec_process import ExecProcess, noted_pid
from runtimes.native.exec_streams import Pipes, with_pipes, with_terminal
from runtimes.native.killing import RuntimeOf
from runtimes.native.locks import Locks
from runtimes.native.oci.process import joined
from runtimes.native.places import Places
from runtimes.shared import processes
from runtimes.shared.inflight import uninterrupted

_FOLDER = "exec-"

_log = logging.getLogger(__name__)


class ExecProcesses:
    """See ``shared.commands.Commands``."""

    def __init__(
        self,
        places: Places,
        locks: Locks,
        containers: Containers,
        parts: ContainerParts,
        ends: Ends,
        runtime_of: RuntimeOf,
    ) -> None:
        self._places = places
        self._locks = locks
        self._containers = containers
        self._parts = parts
        self._ends = ends
        self._runtime_of = runtime_of

    async def check(self, container_id: str) -> None:
        """See ``Commands.check``."""
        self._containers.running(container_id)

    @asynccontextmanager
    async def running(
        self, container_id: str, command: Sequence[str], *, stdin: bool = False, tty: bool = False
    ) -> AsyncIterator[ExecProcess]:
        """See ``Commands.running``."""
        folder = self._places.container(container_id) / f"{_FOLDER}{secrets.token_hex(8)}"
        async with self._locks.hold("exec", folder.name), AsyncExitStack() as stack:
            yield await uninterrupted(self._start(container_id, folder, command, stack, stdin=stdin, tty=tty))

    async def recover(self) -> None:
        """End the commands of dead processes: nobody can read from them or ends them when their time is over."""
        # Unlike Path.glob this passes over a container that another process removes meanwhile.
        for name in glob.iglob(f"*/{_FOLDER}*", root_dir=self._places.containers):
            folder = self._places.containers / name
            with self._locks.try_hold("exec", folder.name) as ours:
                if ours:
                    await asyncio.to_thread(_end, folder)

    async def _start(
        self,
        container_id: str,
        folder: Path,
        command: Sequence[str],
        stack: AsyncExitStack,
        *,
        stdin: bool,
        tty: bool,
    ) -> ExecProcess:
        record = self._containers.running(container_id)
        if cgroup_tree.is_frozen(cgroup_tree.from_text(record.cgroup)):
            raise FailedPrecondition(f"container {container_id} is paused: it takes no command")
        runtime = self._runtime_of(record)
        process = joined(await asyncio.to_thread(self._parts.spec, container_id), command, tty=tty)
        pipes = Pipes()
        try:
            _make(folder, process)
            arguments = [
                # We may be killed when we have stopped it in order to kill it. Somebody has to see the command out:
                # until then the kernel does not let the first process of its container end.
                *programs.told_of_our_death(signal.SIGCONT),
                runtime.path,
                *("--log", str(folder / "log"), "--log-format", "text"),
                *runtime.arguments,
                "exec",
                *("--process", str(folder / "process.json"), "--pid-file", str(folder / "pid")),
            ]
            if tty:
                helper = await with_terminal(arguments, container_id, folder, pipes)
            else:
                helper = with_pipes([*arguments, container_id], pipes, stdin=stdin)
        except BaseException:
            pipes.close()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        started = ExecProcess(container_id, command[0], helper, pipes, folder, self._ends)
        stack.push_async_callback(lambda: uninterrupted(started.end()))
        return started


def _make(folder: Path, process: dict[str, Any]) -> None:
    folder.mkdir(mode=0o700)
    (folder / "process.json").write_text(json.dumps(process))


def _end(folder: Path) -> None:
    """Kill the command of this folder, if it runs, and remove the folder."""
    try:
        if pid := noted_pid(folder):
            processes.kill_tree(pid, folder.parent.name)
    except OSError as error:
        _log.warning("a command in container %s may still run: %s", folder.parent.name, error)
    shutil.rmtree(folder, ignore_errors=True)
