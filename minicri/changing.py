"""Commands that wish: ``stop``, ``restart``, ``delete``. The orchestrator carries the wishes out."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minicri.options import (
    AddressOption,
    AllOption,
    ConfigOption,
    LabelsOption,
    Names,
    Output,
    OutputOption,
    WaitOption,
)
from minicri.running import connected, execute, selector

if TYPE_CHECKING:
    from orchestrator.client import Client
    from orchestrator.v1 import orchestrator_pb2 as pb


Ask = Callable[["Client", "pb.Selector", bool, bool], Awaitable[Sequence[str]]]
"""Put a wish about the chosen tasks (or ``all``), perhaps wait until it is fulfilled, and answer their names."""


async def _stop(client: Client, chosen: pb.Selector, every: bool, wait: bool) -> Sequence[str]:
    from orchestrator.v1 import orchestrator_pb2 as pb

    return (await client.stop(pb.StopRequest(selector=chosen, all=every, wait=wait))).names


async def _delete(client: Client, chosen: pb.Selector, every: bool, wait: bool) -> Sequence[str]:
    from orchestrator.v1 import orchestrator_pb2 as pb

    return (await client.delete(pb.DeleteRequest(selector=chosen, all=every, wait=wait))).names


async def _restart(client: Client, chosen: pb.Selector, every: bool, wait: bool) -> Sequence[str]:
    from orchestrator.v1 import orchestrator_pb2 as pb

    return (await client.restart(pb.RestartRequest(selector=chosen, all=every))).names


def _ending(name: str, ask: Ask, done: str, doing: str, told: str) -> Callable[..., None]:
    """The command ``name``, which brings tasks to an end and says ``told`` of itself."""

    def command(
        names: Names = None,
        label: LabelsOption = None,
        every: AllOption = False,
        wait: WaitOption = True,
        output: OutputOption = Output.TABLE,
        address: AddressOption = None,
        config: ConfigOption = None,
    ) -> None:
        execute(_change(ask, done if wait else doing, names, label, every, wait, output, address, config), output)

    command.__name__, command.__doc__ = name, told
    return command


stop = _ending(
    "stop",
    _stop,
    "stopped",
    "stopping",
    "Bring tasks to their end: stop signal, grace, kill. They stay known; delete forgets them.",
)
delete = _ending(
    "delete",
    _delete,
    "deleted",
    "deleting",
    "Stop tasks and forget them. What they wrote is gone, their history stays; an unknown name is no error.",
)


def restart(
    names: Names = None,
    label: LabelsOption = None,
    every: AllOption = False,
    output: OutputOption = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Begin a new attempt now."""
    execute(_change(_restart, "restarting", names, label, every, False, output, address, config), output)


async def _change(
    ask: Ask,
    said: str,
    names: list[str] | None,
    labels: list[str] | None,
    every: bool,
    wait: bool,
    output: Output,
    address: str | None,
    config: Path | None,
) -> None:
    from minicri import printing

    async with connected(address, config) as client:
        done = await ask(client, selector(names, labels), every, wait)
    if output in (Output.JSON, Output.YAML):
        print(printing.structured([{"name": name, "change": said} for name in done], output))
        return
    for name in done:
        print(f"{name}: {said}")
    if not done:
        print("nothing to do", file=sys.stderr)
