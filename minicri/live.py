"""What a person sees move: the table of tasks, and the progress of pulls. Only where the output is a terminal."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import aclosing, suppress

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from cri.progress import Progress
from minicri.printing import HEADER, WIDE_HEADER, state_name, task_row
from orchestrator.api import Api
from orchestrator.v1 import orchestrator_pb2 as pb

REFRESH = 1.0
"""Seconds after which ages are counted again."""

COLOURS = {"Pending": "dim", "Scheduled": "yellow", "Running": "green", "Completed": "blue", "Failed": "red"}


def tasks_table(listed: pb.ListResponse, *, wide: bool = False) -> Table:
    """The tasks as they are now."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in WIDE_HEADER if wide else HEADER:
        table.add_column(title, no_wrap=title != "MESSAGE")
    for task in listed.tasks:
        row = task_row(task, time.time(), wide=wide)
        colour = COLOURS.get(state_name(task.state), "")
        table.add_row(*(Text(cell, style=colour if at == 1 else "") for at, cell in enumerate(row)))
    return table


async def show_tasks(
    api: Api, request: pb.ListRequest, *, wide: bool = False, console: Console | None = None, transient: bool = False
) -> None:
    """A table that follows what happens, until cancelled; then it stays as it was last, or vanishes (``transient``)."""
    listed = await api.list(request)
    table = tasks_table(listed, wide=wide)
    with Live(table, console=console, auto_refresh=False, transient=transient) as live:
        changed = asyncio.Event()

        async def draw() -> None:
            while True:
                with suppress(TimeoutError):  # nothing happened, but everything is older
                    async with asyncio.timeout(REFRESH):
                        await changed.wait()
                changed.clear()
                live.update(tasks_table(await api.list(request), wide=wide), refresh=True)

        async with asyncio.TaskGroup() as group:
            drawing = group.create_task(draw())
            async with aclosing(api.watch(pb.WatchRequest(after=listed.sequence, follow=True))) as events:
                async for _ in events:
                    changed.set()
            drawing.cancel()


class PullBars:
    """A bar for each layer of each image under way. ``clear`` takes them off the screen, so that something else can
    be printed; those of pulls still under way come back with their next step."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Bars | None = None
        self._known: dict[tuple[str, str], TaskID] = {}
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        """Hear of one step; may be called from any thread."""
        key = (progress.image, progress.layer)
        with self._lock:
            if self._bars is None:
                self._bars = _bars(self._console)
                self._bars.start()
            said = f"{progress.image} {progress.layer[:12]} {progress.status}"
            size = progress.total or None
            if key not in self._known:
                self._known[key] = self._bars.add_task(said, total=size)
            self._bars.update(self._known[key], description=said, completed=progress.current, total=size)

    def clear(self) -> None:
        """Make room. May be called at any time."""
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
                self._bars = None
                self._known.clear()


def _bars(console: Console) -> Bars:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    return Bars(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)


def pull_lines(say: Callable[[str], None]) -> Callable[[Progress], None]:
    """The same for a pipe: one line when an image begins, no line a layer."""
    known: set[str] = set()

    def hear(progress: Progress) -> None:
        if progress.image not in known:
            known.add(progress.image)
            say(f"pulling {progress.image}")

    return hear
