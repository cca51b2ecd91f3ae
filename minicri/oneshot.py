"""``run``: start the tasks of a file, show what they write, and leave with their result and nothing else.

Queue and Db live in memory, logs in a folder that goes with the command. SIGINT and SIGTERM stop the tasks with their
grace, a second one without; whatever way it ends, containers, sandboxes and networks of this run are removed.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minicri.options import ConfigOption, FileOption, LenientOption, Output, RuntimeOption
from minicri.running import allow_many_files, execute, log_to_stderr, settings, warn

if TYPE_CHECKING:
    from cri.progress import Listener
    from manifests.spec import TaskSpec
    from orchestrator.control import Orchestrator
    from orchestrator.server import Service
    from orchestrator.task import Task


def run(
    file: FileOption,
    lenient: LenientOption = False,
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
    execute(_run(file, lenient, quiet, output, config, {"runtime": runtime}), output)


async def _run(
    file: str, lenient: bool, quiet: bool, output: Output, config: Path | None, flags: dict[str, object]
) -> int:
    from manifests import manifest
    from minicri.serving import orchestrating
    from orchestrator.server import Service
    from orchestrator.store import MemoryStore

    warnings: list[str] | None = [] if lenient else None
    specs = manifest.read(file, warnings)
    warn(warnings or ())
    told = settings(config, flags).value
    log_to_stderr("warning" if told.log.level == "info" else told.log.level, told.log.format)
    allow_many_files()
    store = MemoryStore(history=told.orchestrator.history)
    with tempfile.TemporaryDirectory(prefix="minicri-run-") as folder, _screen(quiet, output) as screen:
        async with orchestrating(told, store, Path(folder), on_pull=screen.pull) as (orchestrator, runtime):
            service = Service(orchestrator, runtime, instance=store.instance)

            def again() -> None:
                screen.say("killing what still runs")
                orchestrator.hurry()

            with caught_signals(again) as stopped:
                try:
                    code = await _follow(orchestrator, service, specs, screen, stopped)
                finally:
                    await orchestrator.stop_all(forget=True, actor="minicri run")
    return code


async def _follow(
    orchestrator: Orchestrator, service: Service, specs: list[TaskSpec], screen: Screen, stopped: asyncio.Future[int]
) -> int:
    """Submit, show, and wait for the end or for a signal."""
    from minicri.exits import exit_of_tasks
    from minicri.telling import telling

    async with telling(orchestrator, screen.event):
        submitted = await orchestrator.submit(specs, actor="minicri run")
        names = [one.task_id for one in submitted]
        copied = asyncio.create_task(_copy_all(service, names, screen))
        settled = asyncio.create_task(orchestrator.wait_settled(names))
        try:
            earlier: set[asyncio.Future[Any]] = {copied, settled, stopped}
            await asyncio.wait(earlier, return_when=asyncio.FIRST_COMPLETED)
            if number := stopped.result() if stopped.done() else 0:
                screen.say(f"{signal.Signals(number).name}: stopping; once more kills at once")
                await orchestrator.stop_all(forget=False, actor="minicri run")
            await copied
            ended = await settled
        finally:
            background = (copied, settled)
            for one in background:
                one.cancel()
            await asyncio.wait(background)
    screen.result([ended[name] for name in names])
    return 128 + number if number else exit_of_tasks([_code(ended[name]) for name in names])


def _code(task: Task | None) -> int | None:
    return task.exit_code if task is not None else None


async def _copy_all(service: Service, names: list[str], screen: Screen) -> None:
    width = max((len(name) for name in names), default=0) if len(names) > 1 else 0
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(_copy(service, name, width, screen))


async def _copy(service: Service, name: str, width: int, screen: Screen) -> None:
    from minicri.lines import LineWriter
    from orchestrator.v1 import orchestrator_pb2 as pb

    writer = LineWriter(f"{name:<{width}} | " if width else "")
    async for line in service.logs(pb.LogsRequest(name=name, follow=True)):
        screen.line(name, line, writer)
    writer.close()


@contextmanager
def caught_signals(again: Callable[[], None]) -> Iterator[asyncio.Future[int]]:
    """The first SIGINT or SIGTERM as a result, so that nothing is torn down in the middle of something else; any
    further one calls ``again``."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[int] = loop.create_future()

    def hear(number: int) -> None:
        if first.done():
            again()
        else:
            first.set_result(number)

    caught = (signal.SIGINT, signal.SIGTERM)
    for number in caught:
        loop.add_signal_handler(number, hear, int(number))
    try:
        yield first
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


class Screen:
    """Where ``run`` shows what happens: the tasks' lines on stdout and stderr, the states on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.pull: Listener | None = None
        self.make_room: Callable[[], None] = lambda: None

    def say(self, text: str) -> None:
        self.make_room()
        if not self.quiet:
            print(f"-- {text}", file=sys.stderr, flush=True)

    def event(self, event: Any) -> None:
        from minicri.printing import state_name

        state = state_name(event.to_state)
        if state and state not in ("Pending", state_name(event.from_state)):
            code = f" with code {event.exit_code}" if event.HasField("exit_code") and state in _ENDED else ""
            why = event.message if state == "Failed" else ""
            self.say(f"{event.task}: {state}{code}{f' ({why})' if why else ''}")

    def line(self, name: str, line: Any, writer: Any) -> None:
        self.make_room()
        writer.write(line)

    def result(self, tasks: list[Task | None]) -> None:
        """The end of it all; the states were told already."""


_ENDED = ("Completed", "Failed")


class JsonScreen(Screen):
    """The same for a program: one object a line on stdout, each with ``type``."""

    def _put(self, what: str, **values: object) -> None:
        print(json.dumps({"type": what, **values}, ensure_ascii=False), flush=True)

    def event(self, event: Any) -> None:
        from minicri.printing import event_data

        self._put("event", **event_data(event))

    def line(self, name: str, line: Any, writer: Any) -> None:
        from minicri.printing import log_data

        self._put("log", **log_data(name, line))

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
    if quiet:
        yield screen
    elif sys.stderr.isatty():
        from rich.console import Console

        from minicri.live import PullBars

        bars = PullBars(Console(stderr=True))
        screen.pull, screen.make_room = bars, bars.clear
        try:
            yield screen
        finally:
            bars.clear()
    else:
        from minicri.live import pull_lines

        screen.pull = pull_lines(screen.say)
        yield screen
