"""The arithmetic behind the table of benchmarks."""

from __future__ import annotations

import pytest

from benchmarks.result import Result, percentile, spread


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 51), (99, 100), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: int) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


def test_a_goal_is_missed_by_what_is_above_it() -> None:
    assert Result(what="x", value=51, unit="ms", goal=50).verdict == "MISSED"
    assert Result(what="x", value=50, unit="ms", goal=50).verdict == "ok"


def test_a_goal_to_reach_is_missed_by_what_is_below_it() -> None:
    assert Result(what="x", value=999, unit="tasks/s", goal=1000, at_least=True).missed
    assert not Result(what="x", value=1000, unit="tasks/s", goal=1000, at_least=True).missed


def test_without_a_goal_nothing_is_missed() -> None:
    result = Result(what="x", value=1, unit="ms")
    assert (result.missed, result.goal_shown, result.verdict) == (False, "-", "")


def test_a_spread_has_its_goal_on_the_middle() -> None:
    middle, worst = spread("x", [0.001, 0.002, 0.003], goal_ms=1.0)
    assert (middle.value, middle.missed, worst.value, worst.goal) == (2.0, True, 3.0, None)
