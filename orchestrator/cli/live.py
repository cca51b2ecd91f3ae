"""What a person sees move: the table of tasks, and the progress of pulls. Only where the output is a terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from cri.progress import Progress
from orchestrator.api import Api
from orchestrator.cli.printing import HEADER, WIDE_HEADER, task_row
from orchestrator.messages import state_name
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


async def show_tasks(api: Api, request: pb.ListRequest, *, wide: bool = False, console: Console | None = None) -> None:
    """A table that follows what happens, until cancelled."""
    listed = await api.list(request)
    with Live(tasks_table(listed, wide=wide), console=console, auto_refresh=False) as live:
        changed = asyncio.Event()

        async def follow() -> None:
            async for _ in api.watch(pb.WatchRequest(after=listed.sequence, follow=True)):
                changed.set()

        async def draw() -> None:
            while True:
                try:
                    async with asyncio.timeout(REFRESH):
                        await changed.wait()
                except TimeoutError:
                    pass  # nothing happened, but everything is older
                changed.clear()
                live.update(tasks_table(await api.list(request), wide=wide), refresh=True)

        async with asyncio.TaskGroup() as group:
            drawing = group.create_task(draw())
            await follow()
            drawing.cancel()


class PullBars:
    """A bar for each layer of each image under way; they vanish with the last one."""

    def __init__(self, console: Console) -> None:
        text = TextColumn("{task.description}")
        self.bars = Bars(text, BarColumn(), DownloadColumn(), console=console, transient=True)
        self._known: dict[tuple[str, str], TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        """Hear of one step; may be called from any thread."""
        key = (progress.image, progress.layer)
        if key not in self._known:
            self._known[key] = self.bars.add_task("", total=None)
        self.bars.update(
            self._known[key],
            description=f"{progress.image} {progress.layer[:12]} {progress.status}",
            completed=progress.current,
            total=progress.total or None,
        )

    def finished(self) -> None:
        """Every pull has ended."""
        for bar in self._known.values():
            self.bars.remove_task(bar)
        self._known.clear()


def pull_lines(say: Callable[[str], None]) -> Callable[[Progress], None]:
    """The same for a pipe: one line when an image begins, no line a layer."""
    known: set[str] = set()

    def hear(progress: Progress) -> None:
        if progress.image not in known:
            known.add(progress.image)
            say(f"pulling {progress.image}")

    return hear
