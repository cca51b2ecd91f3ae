"""Run benchmarks by name, or all, and print goals and results as a table. Exits with 1 when a goal is missed."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable

from benchmarks import (
    apply,
    commands,
    docker_fleet,
    docker_lifecycle,
    exits,
    known,
    native_lifecycle,
    podman_lifecycle,
    queue,
    remote,
    round_trip,
    starts,
)
from benchmarks.result import Absent, Result
from minicri.printing import columns

BENCHMARKS: dict[str, Callable[[], AsyncIterator[Result]]] = {
    "rpc": round_trip.run,
    "remote": remote.run,
    "queue": queue.run,
    "start": starts.run,
    "exit": exits.run,
    "known": known.run,
    "apply": apply.run,
    "command": commands.run,
    "docker": docker_lifecycle.run,
    "native": native_lifecycle.run,
    "docker-fleet": docker_fleet.run,
    "podman": podman_lifecycle.run,
}


async def measured(name: str) -> list[Result]:
    results: list[Result] = []
    try:
        async for result in BENCHMARKS[name]():
            results.append(result)  # noqa: PERF401 - what came before an Absent is kept
    except Absent as absent:
        print(f"{name}: not measured further: {absent}", file=sys.stderr)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    results = []
    for name in names:
        print(f"measuring {name} …", file=sys.stderr)
        results += [(name, result) for result in asyncio.run(measured(name))]
    rows = [(name, one.what, one.shown, one.goal_shown, one.verdict) for name, one in results]
    print(columns(("BENCHMARK", "WHAT", "RESULT", "GOAL", ""), rows))
    return 1 if any(one.missed for _, one in results) else 0


if __name__ == "__main__":
    sys.exit(main())
