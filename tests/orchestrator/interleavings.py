"""Explicit-state exploration: the same story told in every order of its parts, up to a bound.

An event loop runs what is ready in the order in which it became ready. Here a ``Plan`` says where to depart from
that: at its n-th choice the loop runs the k-th of what is ready first, so that everything before it is late. A crash
is chosen in the same way. ``explore`` tells a story once for every plan of up to ``surprises`` such departures, each
told from the beginning, and so visits every interleaving that differs from the usual one in that many places.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

from orchestrator.loop import ControlLoop
from orchestrator.worker import Worker
from tests.orchestrator.test_histories import Live, Step, World, check

_T = TypeVar("_T")
_Given = TypeVarTuple("_Given")


@dataclass(frozen=True)
class Plan:
    """``late`` maps the number of a choice to what is run first there; ``dies_at`` is the moment of a crash."""

    late: tuple[tuple[int, int], ...] = ()
    dies_at: int = 0

    @property
    def surprises(self) -> int:
        return len(self.late) + bool(self.dies_at)


@dataclass
class Told:
    """How a telling went: how many parts were ready at each choice, and how often the process could have died."""

    widths: list[int] = field(default_factory=list)
    moments: int = 0
    counting: bool = False
    """Whether the story itself is under way: what comes before and after it is the same in every telling."""


class _Ready(deque[asyncio.Handle]):
    """What an event loop is to run next, in the order of a plan."""

    def __init__(self, plan: Plan, told: Told) -> None:
        super().__init__()
        self._late = dict(plan.late)
        self._told = told

    def popleft(self) -> asyncio.Handle:
        if self._told.counting and len(self) > 1:
            first = self._late.get(len(self._told.widths), 0)
            self._told.widths.append(len(self))
            if 0 < first < len(self):  # a crash that comes earlier leaves less to choose from
                handle = self[first]
                del self[first]
                return handle
        return super().popleft()


class _Loop(asyncio.SelectorEventLoop):
    """What is handed to a thread is a part of the story like any other, and has its turn among them: when a real
    thread is done depends on the machine, and no plan would be told the same way twice."""

    def __init__(self, plan: Plan, told: Told) -> None:
        super().__init__()
        self._ready = _Ready(plan, told)

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[_Given]], _T], *args: *_Given
    ) -> asyncio.Future[_T]:
        done: asyncio.Future[_T] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 - whoever waits for it hears it
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(result)

        self.call_soon(work)
        return done


class Busy(World):
    """A world whose user and whose engine go on while the orchestrator works: ``script`` is what they do."""

    def __init__(self, folder: Path, script: Sequence[Step]) -> None:
        super().__init__(folder)
        self.script = deque(script)

    async def _work_until_rest(self, worker: Worker, loop: ControlLoop) -> None:
        user = asyncio.create_task(self._go_on())
        while True:
            over = user.done()
            await super()._work_until_rest(worker, loop)
            if over:
                user.result()
                return
            await asyncio.sleep(0)

    async def _go_on(self) -> None:
        while self.script:
            await asyncio.sleep(0)
            await self.suffer([self.script.popleft()])


async def _tell(before: Sequence[Step], script: Sequence[Step], plan: Plan, told: Told) -> None:
    with tempfile.TemporaryDirectory(prefix="minicri-interleavings-") as folder:
        world = Busy(Path(folder), ())
        if before:
            await world.go_through(before)
        world.script.extend(script)
        told.counting = True
        await world.live(plan.dies_at or 1_000_000)
        told.counting = False
        told.moments = world.moments
        await world.go_through([Live(0)])
        await check(world)


def tell(before: Sequence[Step], script: Sequence[Step], plan: Plan) -> Told:
    """One telling: ``before`` settles first, then ``script`` happens while the orchestrator works."""
    told = Told()
    with asyncio.Runner(loop_factory=lambda: _Loop(plan, told)) as runner:
        runner.run(_tell(before, script, plan, told))
    return told


def explore(
    before: Sequence[Step],
    script: Sequence[Step],
    surprises: int,
    *,
    share: Callable[[int], bool] = lambda number: True,
) -> int:
    """Tell the story by every plan of up to ``surprises`` departures; the answer is how many tellings that were.

    ``share`` picks among the plans of the last level, by number. An AssertionError carries the plan as a note.
    """
    waiting, tellings = deque([Plan()]), 0
    while waiting:
        plan = waiting.popleft()
        tellings += 1
        try:
            told = tell(before, script, plan)
        except BaseException as error:
            error.add_note(f"in this order: {plan}")
            raise
        if plan.surprises < surprises:
            last = plan.surprises == surprises - 1
            following = _departures(plan, told)
            waiting.extend(one for number, one in enumerate(following) if not last or share(number))
    return tellings


def _departures(plan: Plan, told: Told) -> Iterator[Plan]:
    """The plans with one surprise more, each after those that the plan has."""
    begin = plan.late[-1][0] + 1 if plan.late else 0
    if plan.dies_at:
        return  # a crash is the last of a plan: what the next life makes of it is told in the usual order
    for choice in range(begin, len(told.widths)):
        for first in range(1, told.widths[choice]):
            yield Plan((*plan.late, (choice, first)))
    for moment in range(1, told.moments + 1):
        yield Plan(plan.late, moment)
