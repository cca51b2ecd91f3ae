"""One line of the table, and the small arithmetic behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class Absent(Exception):
    """What would be measured is not there, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """``goal`` is the most that ``value`` may be, or with ``at_least`` the least; None: told for comparison only."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False

    @property
    def missed(self) -> bool:
        return self.goal is not None and (self.value < self.goal if self.at_least else self.value > self.goal)

    @property
    def shown(self) -> str:
        return f"{self.value:.{_digits(self.value)}f} {self.unit}"

    @property
    def goal_shown(self) -> str:
        return "-" if self.goal is None else f"{'≥' if self.at_least else '<'} {self.goal:g} {self.unit}"

    @property
    def verdict(self) -> str:
        return "" if self.goal is None else "MISSED" if self.missed else "ok"


def _digits(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def spread(what: str, seconds: Sequence[float], *, goal_ms: float | None = None) -> tuple[Result, Result]:
    """p50 and p99 in milliseconds; the goal is one for p50."""
    middle, worst = (percentile(seconds, percent) * 1e3 for percent in (50, 99))
    return (
        Result(what=f"{what}, p50", value=middle, unit="ms", goal=goal_ms),
        Result(what=f"{what}, p99", value=worst, unit="ms"),
    )
