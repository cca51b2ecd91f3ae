"""``orphans``: what the engine has of this orchestrator that no known task owns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from minicri.options import AddressOption, ConfigOption, Output, OutputOption, WaitOption
from minicri.running import connected, execute


def orphans(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would go, and when it goes anyway.")
    ] = False,
    wait: WaitOption = True,
    output: OutputOption = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Remove what is left of tasks that nobody knows, after a restored backup say. Only what is this orchestrator's."""
    execute(_orphans(dry_run, wait, output, address, config), output)


async def _orphans(dry_run: bool, wait: bool, output: Output, address: str | None, config: Path | None) -> None:
    from minicri import printing
    from orchestrator.v1 import orchestrator_pb2 as pb

    request = pb.ReapOrphansRequest(dry_run=dry_run, wait=wait, actor="minicri orphans")
    async with connected(address, config) as client:
        found = (await client.reap_orphans(request)).orphans
    done = "removed" if wait else "removing"
    data = [
        {
            "task": one.task,
            "sandboxes": one.sandboxes,
            "containers": one.containers,
            "running": one.running,
            "change": f"to be removed at {printing.moment(one.reap_at_ns)}" if dry_run else done,
        }
        for one in found
    ]
    if output in (Output.JSON, Output.YAML):
        print(printing.structured(data, output))
    elif data:
        print(printing.columns([key.upper() for key in data[0]], [[str(v) for v in one.values()] for one in data]))
    else:
        print("nothing to do", file=sys.stderr)
