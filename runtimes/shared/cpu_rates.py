"""CPU use as a rate, which takes two readings. Pure but for what it remembers."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

SHORTEST_NS = 200_000_000
"""Nanoseconds. Two readings closer together than this would make a rate of noise; the last rate holds meanwhile."""

_KEPT = 4096


@dataclass(frozen=True, slots=True)
class _Reading:
    timestamp_ns: int
    usage_ns: int
    rate: int | None


class CpuRates:
    """The last reading of each container, by its id."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, _Reading] = OrderedDict()

    def note(self, container_id: str, timestamp_ns: int, usage_ns: int) -> int | None:
        """Nanoseconds of CPU time used a second since the last reading; None at the first."""
        last = self._last.get(container_id)
        if last is not None and timestamp_ns - last.timestamp_ns < SHORTEST_NS:
            return last.rate
        rate = None
        if last is not None:
            rate = max(0, usage_ns - last.usage_ns) * 1_000_000_000 // (timestamp_ns - last.timestamp_ns)
        self._last[container_id] = _Reading(timestamp_ns, usage_ns, rate)
        self._last.move_to_end(container_id)
        if len(self._last) > _KEPT:
            self._last.popitem(last=False)
        return rate

    def forget(self, container_id: str) -> None:
        self._last.pop(container_id, None)
