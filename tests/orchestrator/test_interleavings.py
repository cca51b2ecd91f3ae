"""Every order of a story's parts, and a crash at every moment of it: nothing is lost, doubled or forbidden.

A run tells each story with one surprise, wherever it can be: a part that is late, or a crash; and with a share of all
pairs of surprises. ``TEST_SURPRISES=2`` tells all pairs, which takes some minutes a story.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from orchestrator.task import State
from tests.orchestrator.interleavings import Plan, explore, tell
from tests.orchestrator.test_histories import Ask, Happen, Step

SURPRISES = int(os.environ.get("TEST_SURPRISES", "0"))
ONE_IN = 600
"""Of the pairs of surprises, one in so many is told where nobody asks for all."""

NEVER, ON_FAILURE, ALWAYS, FAR = range(4)


def submit(variant: int, task_id: str = "a") -> Ask:
    return Ask(task_id, State.SCHEDULED, variant, False)


STOP = Ask("a", State.COMPLETED, None, False)
DELETE = Ask("a", State.COMPLETED, None, True)
RESTART = Ask("a", State.SCHEDULED, None, False)

STORIES: dict[str, tuple[Sequence[Step], Sequence[Step]]] = {
    "start": ((), (submit(NEVER),)),
    "start with a pull": ((), (submit(FAR),)),
    "start and stop at once": ((), (submit(NEVER), STOP)),
    "start two": ((), (submit(NEVER), submit(NEVER, "b"))),
    "stop": ((submit(NEVER),), (STOP,)),
    "stop what just ended": ((submit(NEVER),), (Happen("a", "exit 0"), STOP)),
    "restart what just failed": ((submit(ON_FAILURE),), (Happen("a", "exit 3"), RESTART)),
    "restart by policy": ((submit(ALWAYS),), (Happen("a", "exit 0"),)),
    "change": ((submit(NEVER),), (submit(ALWAYS),)),
    "delete and submit again": ((submit(NEVER),), (DELETE, submit(NEVER))),
    "lose the sandbox while it is changed": ((submit(ALWAYS),), (Happen("a", "kill sandbox"), submit(NEVER))),
}


@pytest.mark.parametrize("story", STORIES)
def test_no_order_and_no_crash_breaks_the_law(story: str) -> None:
    before, script = STORIES[story]
    if SURPRISES:
        explore(before, script, SURPRISES)
    else:
        explore(before, script, 2, share=lambda number: number % ONE_IN == 0)


def test_a_plan_is_told_the_same_way_every_time() -> None:
    """Else a failure's plan would be worth nothing."""
    before, script = STORIES["change"]
    plan = Plan(late=((3, 1), (9, 1)))
    first = tell(before, script, plan)
    assert tell(before, script, plan).widths == first.widths
    assert tell(before, script, Plan()).widths != first.widths
