"""``rollout status`` and ``rollout history``: what is declared, and how far it has come."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minicri.options import AddressOption, ConfigOption, Name, Names, Output, OutputOption
from minicri.running import connected, execute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.client import Client
    from orchestrator.v1 import orchestrator_pb2 as pb

rollout_app = typer.Typer(help="Say what is declared, and how far it is rolled out.", no_args_is_help=True)


@rollout_app.command()
def status(
    names: Names = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Answer only when none is under way any more.")] = False,
    output: OutputOption = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Show how far what is declared is rolled out. The exit code is 9 if any of it failed or was rolled back."""
    execute(_status(names, wait, output, address, config), output)


async def _status(names: list[str] | None, wait: bool, output: Output, address: str | None, config: Path | None) -> int:
    from minicri import printing
    from minicri.exits import Exit
    from orchestrator.v1 import orchestrator_pb2 as pb

    async with connected(address, config) as client:
        declared = await _declared(client, names or [], wait)
    if output in (Output.JSON, Output.YAML):
        print(printing.structured([printing.declaration_data(one) for one in declared], output))
    else:
        print(printing.columns(printing.ROLLOUT_HEADER, map(printing.declaration_row, declared)))
    wrong = (pb.Declaration.PROGRESS_FAILED, pb.Declaration.PROGRESS_ROLLED_BACK)
    return Exit.NOT_ROLLED_OUT if any(one.progress in wrong for one in declared) else Exit.OK


async def _declared(client: Client, names: list[str], wait: bool) -> Sequence[pb.Declaration]:
    from orchestrator.v1 import orchestrator_pb2 as pb

    while True:
        answer = await client.list_declarations(pb.ListDeclarationsRequest(names=names))
        moving = any(one.progress == pb.Declaration.PROGRESS_PROGRESSING for one in answer.declarations)
        if not (wait and moving):
            return answer.declarations
        async with aclosing(client.watch(pb.WatchRequest(after=answer.sequence, follow=True))) as events:
            await anext(events)


@rollout_app.command()
def history(
    name: Name, output: OutputOption = Output.TABLE, address: AddressOption = None, config: ConfigOption = None
) -> None:
    """List the revisions that are kept of a name, and what made each."""
    execute(_history(name, output, address, config), output)


async def _history(name: str, output: Output, address: str | None, config: Path | None) -> None:
    from minicri import printing
    from orchestrator.v1 import orchestrator_pb2 as pb

    async with connected(address, config) as client:
        [declared] = (await client.list_declarations(pb.ListDeclarationsRequest(names=[name]))).declarations
    revisions = [printing.revision_data(one) for one in declared.revisions]
    if output in (Output.JSON, Output.YAML):
        print(printing.structured(revisions, output))
    else:
        shown = ("revision", "declared_at", "actor", "image", "cause")
        print(printing.columns([key.upper() for key in shown], [[str(one[key]) for key in shown] for one in revisions]))
