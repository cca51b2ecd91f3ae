"""``run``: start the tasks of a file, show what they write, and leave with their result and nothing else.

Queue and Db live in memory, logs in a folder that goes with the command. SIGINT and SIGTERM stop the tasks with their
grace; whatever way it ends, containers, sandboxes and networks of this run are removed.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.options import ConfigOption, FileOption, Output, RuntimeOption
from orchestrator.cli.running import execute, log_to_stderr, settings

if TYPE_CHECKING:
    from cri.progress import Listener
    from orchestrator.control import Orchestrator
    from orchestrator.server import Service
    from orchestrator.spec import TaskSpec
    from orchestrator.task import Task


def run(
    file: FileOption,
    runtime: RuntimeOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what the tasks write.")] = False,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="json: one object a line, the result last.")
    ] = Output.TABLE,
    config: ConfigOption = None,
) -> None:
    """Run the tasks of a manifest to their end, here and now, and exit with their result.

    0 when every task ended with 0; else the code of the first task in the file that did not.
    """
    execute(_run(file, quiet, output, config, {"runtime": runtime}), output)


async def _run(file: str, quiet: bool, output: Output, config: Path | None, flags: dict[str, object]) -> int:
    from orchestrator import manifest
    from orchestrator.cli.serving import orchestrating
    from orchestrator.server import Service
    from orchestrator.store import MemoryStore

    specs = manifest.read(file)
    told = settings(config, flags).value
    log_to_stderr("warning" if told.log.level == "info" else told.log.level, told.log.format)
    store = MemoryStore()
    with tempfile.TemporaryDirectory(prefix="minicri-run-") as folder, _screen(quiet, output) as screen:
        async with orchestrating(told, store, Path(folder), on_pull=screen.pull) as (orchestrator, runtime):
            service = Service(orchestrator, runtime, instance=store.instance)
            with caught_signals() as stopped:
                try:
                    code = await _follow(orchestrator, service, specs, screen, stopped)
                finally:
                    await orchestrator.stop_all(forget=True, actor="minicri run")
    return code


async def _follow(
    orchestrator: Orchestrator, service: Service, specs: list[TaskSpec], screen: Screen, stopped: asyncio.Queue[int]
) -> int:
    """Submit, show, and wait for the end or for a signal."""
    from orchestrator.exits import exit_of_tasks

    begun = await orchestrator.last_seq()
    submitted = await orchestrator.submit(specs, actor="minicri run")
    names = [one.task_id for one in submitted]
    width = max((len(name) for name in names), default=0) if len(names) > 1 else 0
    telling = asyncio.create_task(_tell(service, begun, screen))
    copying = [asyncio.create_task(_copy(service, name, width, screen)) for name in names]
    settled = asyncio.create_task(orchestrator.wait_settled(names))
    signalled = asyncio.create_task(stopped.get())
    background = [telling, *copying, settled, signalled]
    try:
        await asyncio.wait({settled, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if signalled.done():
            number = signalled.result()
            screen.say(f"{signal.Signals(number).name}: stopping {len(names)} task{'s' if len(names) != 1 else ''}")
            await orchestrator.stop_all(forget=False, actor="minicri run")
            await asyncio.gather(*copying)
            return 128 + number
        ended = await settled
        await asyncio.gather(*copying)
        screen.result([ended[name] for name in names])
        return exit_of_tasks([_code(ended[name]) for name in names])
    finally:
        for one in background:
            one.cancel()
        await asyncio.gather(*background, return_exceptions=True)


def _code(task: Task | None) -> int | None:
    return task.exit_code if task is not None else None


async def _tell(service: Service, after: int, screen: Screen) -> None:
    from orchestrator.v1 import orchestrator_pb2 as pb

    async for answer in service.watch(pb.WatchRequest(after=after, follow=True)):
        screen.event(answer.event)


async def _copy(service: Service, name: str, width: int, screen: Screen) -> None:
    from orchestrator.cli.lines import LineWriter
    from orchestrator.v1 import orchestrator_pb2 as pb

    writer = LineWriter(f"{name:<{width}} | " if width else "")
    async for line in service.logs(pb.LogsRequest(name=name, follow=True)):
        screen.line(name, line, writer)
    writer.close()


@contextmanager
def caught_signals() -> Iterator[asyncio.Queue[int]]:
    """SIGINT and SIGTERM as items of a queue, so that nothing is torn down in the middle of something else."""
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[int] = asyncio.Queue()
    caught = (signal.SIGINT, signal.SIGTERM)
    for number in caught:
        loop.add_signal_handler(number, received.put_nowait, int(number))
    try:
        yield received
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


class Screen:
    """Where ``run`` shows what happens: the tasks' lines on stdout and stderr, the states on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.pull: Listener | None = None

    def say(self, text: str) -> None:
        if not self.quiet:
            print(f"-- {text}", file=sys.stderr, flush=True)

    def event(self, event: Any) -> None:
        from orchestrator.messages import state_name

        state = state_name(event.to_state)
        if state and state not in ("Pending", state_name(event.from_state)):
            code = f" with code {event.exit_code}" if event.HasField("exit_code") and state in _ENDED else ""
            why = event.message if state == "Failed" else ""
            self.say(f"{event.task}: {state}{code}{f' ({why})' if why else ''}")

    def line(self, name: str, line: Any, writer: Any) -> None:
        writer.write(line)

    def result(self, tasks: list[Task | None]) -> None:
        """The end of it all; the states were told already."""


_ENDED = ("Completed", "Failed")


class JsonScreen(Screen):
    """The same for a program: one object a line on stdout, each with ``type``."""

    def _put(self, kind: str, **values: object) -> None:
        print(json.dumps({"type": kind, **values}, ensure_ascii=False), flush=True)

    def event(self, event: Any) -> None:
        from orchestrator.cli.printing import event_data

        self._put("event", **event_data(event))

    def line(self, name: str, line: Any, writer: Any) -> None:
        from orchestrator.cli.printing import moment

        stream = "stderr" if line.stream == line.STREAM_STDERR else "stdout"
        text = line.line.decode(errors="backslashreplace")
        self._put("log", task=name, time=moment(line.time_ns), stream=stream, text=text, partial=line.partial)

    def result(self, tasks: list[Task | None]) -> None:
        ended = {
            task.id: {"state": task.state, "exit_code": task.exit_code, "reason": task.reason} for task in tasks if task
        }
        self._put("result", tasks=ended)


@contextmanager
def _screen(quiet: bool, output: Output) -> Iterator[Screen]:
    if output is Output.JSON:
        yield JsonScreen(quiet=True)
        return
    screen = Screen(quiet=quiet)
    with ExitStack() as stack:
        if sys.stderr.isatty() and not quiet:
            from rich.console import Console

            from orchestrator.cli.live import PullBars

            bars = PullBars(Console(stderr=True))
            stack.enter_context(bars.bars)
            screen.pull = bars
        else:
            from orchestrator.cli.live import pull_lines

            screen.pull = pull_lines(screen.say)
        yield screen
