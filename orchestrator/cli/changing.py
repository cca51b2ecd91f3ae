"""Commands that wish: ``apply``, ``stop``, ``restart``, ``delete``. The orchestrator carries the wishes out."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path

from orchestrator.cli.options import (
    AddressOption,
    AllOption,
    ConfigOption,
    FileOption,
    LabelsOption,
    Names,
    Output,
    OutputOption,
    WaitOption,
)
from orchestrator.cli.running import connected, execute, selector
from orchestrator.exits import Exit


def apply(
    file: FileOption, output: OutputOption = Output.TABLE, address: AddressOption = None, config: ConfigOption = None
) -> None:
    """Declare the tasks of a manifest: new ones start, changed ones start anew, the others are left alone."""
    execute(_apply(file, output, address, config), output)


async def _apply(file: str, output: Output, address: str | None, config: Path | None) -> int:
    from orchestrator import manifest
    from orchestrator.cli import printing
    from orchestrator.messages import FORMATS
    from orchestrator.v1 import orchestrator_pb2 as pb

    text, form, source, directory = manifest.load_text(file)
    manifest.parse(text, form, source=source, directory=directory)
    request = pb.SubmitRequest(manifest=text, format=FORMATS[form], source=source, directory=directory, actor=_user())
    async with connected(address, config) as client:
        answer = await client.submit(request)
    rows = [
        {
            "name": one.name,
            "change": pb.SubmitResponse.Change.Name(one.change).removeprefix("CHANGE_").lower(),
            "message": one.message,
        }
        for one in answer.results
    ]
    if output in (Output.JSON, Output.YAML):
        print(printing.structured(rows, output))
    else:
        for row in rows:
            print(f"{row['name']}: {row['change']}{': ' + row['message'] if row['message'] else ''}")
    refused = any(one.change == pb.SubmitResponse.CHANGE_REJECTED for one in answer.results)
    return Exit.REFUSED if refused else Exit.OK


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "apply"  # a user id without a name


def stop(
    names: Names = None,
    label: LabelsOption = None,
    every: AllOption = False,
    wait: WaitOption = True,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Bring tasks to their end: stop signal, grace, kill. They stay known; delete forgets them."""
    execute(_change("stop", names, label, every, wait, address, config))


def restart(
    names: Names = None,
    label: LabelsOption = None,
    every: AllOption = False,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Begin a new attempt now."""
    execute(_change("restart", names, label, every, False, address, config))


def delete(
    names: Names = None,
    label: LabelsOption = None,
    every: AllOption = False,
    wait: WaitOption = True,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Stop tasks and forget them. What they wrote is gone, their history stays; an unknown name is no error."""
    execute(_change("delete", names, label, every, wait, address, config))


_DONE = {"stop": ("stopped", "stopping"), "restart": ("restarting", "restarting"), "delete": ("deleted", "deleting")}


async def _change(
    what: str,
    names: list[str] | None,
    labels: list[str] | None,
    every: bool,
    wait: bool,
    address: str | None,
    config: Path | None,
) -> None:
    from orchestrator.v1 import orchestrator_pb2 as pb

    chosen = selector(names, labels)
    async with connected(address, config) as client:
        if what == "stop":
            done = (await client.stop(pb.StopRequest(selector=chosen, all=every, wait=wait))).names
        elif what == "delete":
            done = (await client.delete(pb.DeleteRequest(selector=chosen, all=every, wait=wait))).names
        else:
            done = (await client.restart(pb.RestartRequest(selector=chosen, all=every))).names
    for name in done:
        print(f"{name}: {_DONE[what][0 if wait else 1]}")
    if not done:
        print("nothing to do", file=sys.stderr)
