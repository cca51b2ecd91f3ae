"""What minicri adds to an engine's own time over the lives of sandboxes and containers, one and eight at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import cri
from benchmarks.lives import Clock, containers, sandboxes, side_by_side
from benchmarks.remote import serving
from benchmarks.result import Result
from benchmarks.ways import Minicri, Way

ROUNDS = {1: 15, 8: 5}
"""How often, for so many lives at a time."""
GOAL = 1.10

HERE, FAR = "in process", "over gRPC"
WAYS = {1: "one at a time", 8: "eight at a time"}


async def compared(runtime: str, here: Minicri, direct: Way, by: str, folder: Path) -> AsyncIterator[Result]:
    """``direct``, which is ``by`` something, beside minicri in this process (``here``) and in one of its own."""
    address = f"unix://{folder}/cri.sock"
    async with serving(runtime, address), cri.connect(address) as client:
        ways = {by: direct, HERE: here, FAR: Minicri(client, folder)}
        kinds: dict[str, Callable[[Way, Clock, int], Awaitable[None]]] = {
            "sandbox": sandboxes,
            "container": containers,
        }
        for kind, lives in kinds.items():
            for at_once, rounds in ROUNDS.items():
                clocks = await side_by_side(ways, lives, at_once, rounds)
                for result in _compared(kind, at_once, clocks, by):
                    yield result


def _compared(kind: str, at_once: int, clocks: dict[str, Clock], by: str) -> list[Result]:
    """The ratio of whole lives is the claim; the steps tell where the time goes."""
    direct = clocks.pop(by)
    how = f"{kind}, {WAYS[at_once]}"
    results = [Result(what=f"life of a {how}, {by}, p50", value=direct.median("life") * 1e3, unit="ms")]
    for name, clock in clocks.items():
        ratio = clock.median("life") / direct.median("life")
        results.append(Result(what=f"life of a {how}, {name}, to that", value=ratio, unit="x", goal=GOAL))
        if at_once == 1:
            for step in [step for step in clock.seconds if step != "life"]:
                added = (clock.median(step) - direct.median(step)) * 1e3
                what = f"  added to {step} ({direct.median(step) * 1e3:.0f} ms), {name}"
                results.append(Result(what=what, value=added, unit="ms"))
    return results
