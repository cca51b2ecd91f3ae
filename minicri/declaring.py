"""Commands that declare: ``apply``, ``diff``, ``scale``, ``rollback``. What follows from it is the orchestrator's."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minicri.options import AddressOption, ConfigOption, FileOption, LenientOption, Name, Output, OutputOption
from minicri.running import connected, execute, format_name, warn

if TYPE_CHECKING:
    from orchestrator.client import Client
    from orchestrator.v1 import orchestrator_pb2 as pb

PruneOption = Annotated[
    bool, typer.Option("--prune", help="Also delete what this file declared before and now does not.")
]
WaitUpOption = Annotated[bool, typer.Option("--wait", help="Answer only when every task is up or has ended.")]


def apply(
    file: FileOption,
    prune: PruneOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would change.")] = False,
    lenient: LenientOption = False,
    wait: WaitUpOption = False,
    output: OutputOption = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Declare the tasks of a manifest: new ones start, changed ones are rolled out, the others are left alone.

    With --wait the exit code is, as with run, that of the first task in the file that failed; 9 for a rollout that
    failed or was rolled back.
    """
    execute(_apply(file, prune, dry_run, lenient, wait, output, address, config), output)


async def _apply(
    file: str,
    prune: bool,
    dry_run: bool,
    lenient: bool,
    wait: bool,
    output: Output,
    address: str | None,
    config: Path | None,
) -> int:
    request, names = _request(file, prune, dry_run, lenient)
    async with connected(address, config) as client:
        answer = await client.submit(request)
        warn(answer.warnings)
        end = await _settled(client, names, answer.results) if wait and not dry_run else End()
    _show(answer.results, output, end, "would be " if dry_run else "")
    return _exit(answer.results, end)


def _request(file: str, prune: bool, dry_run: bool, lenient: bool) -> tuple[pb.SubmitRequest, Collection[str]]:
    """What to ask for, and the names that the file declares; a wrong manifest is told before anyone is asked."""
    from manifests import manifest
    from orchestrator.v1 import orchestrator_pb2 as pb

    text, form, source, directory = manifest.load_text(file)
    specs = manifest.parse(text, form, source, directory, [] if lenient else None)
    request = pb.SubmitRequest(
        manifest=text,
        format=format_name(form),
        source=source,
        directory=directory,
        actor=_user(),
        prune=prune,
        dry_run=dry_run,
        lenient=lenient,
    )
    return request, {spec.name for spec in specs}


@dataclass(frozen=True, slots=True)
class End:
    """Where what was declared has come to: tasks by name, and what became of rollouts that went wrong."""

    tasks: Mapping[str, pb.Task] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


async def _settled(client: Client, names: Collection[str], results: Sequence[pb.SubmitResponse.Result]) -> End:
    """Wait until each of ``names`` is rolled out, or is not going to be, and each task is where it is to be; what is
    deleted meanwhile is waited for no longer."""
    from minicri.printing import progress_name
    from orchestrator.v1 import orchestrator_pb2 as pb

    left_out = (pb.SubmitResponse.CHANGE_REMOVED, pb.SubmitResponse.CHANGE_REJECTED)
    asked = {one.name for one in results if one.change not in left_out}
    touched = {
        one.name
        for one in results
        if one.change in (pb.SubmitResponse.CHANGE_CREATED, pb.SubmitResponse.CHANGE_CHANGED)
    }
    while True:
        declared = await client.list_declarations(pb.ListDeclarationsRequest())
        listed = await client.list(pb.ListRequest())
        mine = [one for one in declared.declarations if one.name in names]
        tasks = {task.name: task for task in listed.tasks if task.name in asked}
        moving = any(one.progress == pb.Declaration.PROGRESS_PROGRESSING for one in mine)
        if not moving and all(task.state == task.desired for task in tasks.values()):
            wrong = (pb.Declaration.PROGRESS_FAILED, pb.Declaration.PROGRESS_ROLLED_BACK)
            failed = {
                one.name: f"{progress_name(one.progress)}: {one.message}"
                for one in mine
                if one.progress in wrong and any(_belongs(task, one.name) for task in touched)
            }
            return End(tasks, failed)
        async with aclosing(client.watch(pb.WatchRequest(after=declared.sequence, follow=True))) as events:
            await anext(events)


def _belongs(task: str, name: str) -> bool:
    return task == name or task.rpartition("-")[0] == name


def _show(results: Sequence[pb.SubmitResponse.Result], output: Output, end: End, prefix: str = "") -> None:
    from minicri import printing

    rows = [printing.change_data(one, end.tasks.get(one.name)) for one in results]
    if output in (Output.JSON, Output.YAML):
        print(printing.structured(rows, output))
    else:
        for row in rows:
            said = f"{row['change']}, {row['state']}" if "state" in row else row["change"]
            would = prefix if row["change"] not in ("unchanged", "rejected") else ""
            print(f"{row['name']}: {would}{said}{': ' + row['message'] if row['message'] else ''}")
    for name, why in end.failed.items():
        print(f"error: {name} is {why}", file=sys.stderr)


def _exit(results: Sequence[pb.SubmitResponse.Result], end: End) -> int:
    from minicri.exits import Exit, exit_of_tasks
    from orchestrator.v1 import orchestrator_pb2 as pb

    if any(one.change == pb.SubmitResponse.CHANGE_REJECTED for one in results):
        return Exit.REFUSED
    code = exit_of_tasks([_code(end.tasks[one.name]) for one in results if one.name in end.tasks])
    return code or (Exit.NOT_ROLLED_OUT if end.failed else Exit.OK)


def _code(task: pb.Task) -> int | None:
    """As ``exit_of_tasks`` takes it: what has not failed is a success."""
    from orchestrator.v1 import orchestrator_pb2 as pb

    if task.state != pb.STATE_FAILED:
        return 0
    return task.exit_code if task.HasField("exit_code") else None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "apply"  # a user id without a name


def diff(
    file: FileOption,
    prune: PruneOption = False,
    lenient: LenientOption = False,
    output: OutputOption = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Say what apply would change, field by field. The exit code is 8 if anything would."""
    execute(_diff(file, prune, lenient, output, address, config), output)


async def _diff(file: str, prune: bool, lenient: bool, output: Output, address: str | None, config: Path | None) -> int:
    from minicri import printing
    from minicri.exits import Exit
    from orchestrator.v1 import orchestrator_pb2 as pb

    request, _ = _request(file, prune, True, lenient)
    async with connected(address, config) as client:
        answer = await client.submit(request)
    warn(answer.warnings)
    changes = [one for one in answer.results if one.change != pb.SubmitResponse.CHANGE_UNCHANGED]
    if output in (Output.JSON, Output.YAML):
        print(printing.structured([printing.change_data(one) for one in changes], output))
    else:
        for one in changes:
            row = printing.change_data(one)
            print(f"{row['name']}: {row['change']}{': ' + row['message'] if row['message'] else ''}")
            for line in one.differences:
                print(f"  {line}")
    return Exit.DIFFERS if changes else Exit.OK


def scale(
    name: Name,
    replicas: Annotated[int, typer.Argument(metavar="REPLICAS", min=0, max=10000)],
    wait: WaitUpOption = False,
    output: OutputOption = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Ask for another number of replicas. The next apply of the file asks for the file's again."""
    execute(_scale(name, replicas, wait, output, address, config), output)


async def _scale(name: str, replicas: int, wait: bool, output: Output, address: str | None, config: Path | None) -> int:
    from orchestrator.v1 import orchestrator_pb2 as pb

    async with connected(address, config) as client:
        answer = await client.scale(pb.ScaleRequest(name=name, replicas=replicas, actor=_user()))
        end = await _settled(client, {name}, answer.results) if wait else End()
    _show(answer.results, output, end)
    return _exit(answer.results, end)


def rollback(
    name: Name,
    to: Annotated[int, typer.Option("--to", min=0, metavar="REVISION", help="0: the last good one before.")] = 0,
    wait: WaitUpOption = False,
    output: OutputOption = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Declare a name as an earlier revision had it; rollout history lists them."""
    execute(_rollback(name, to, wait, output, address, config), output)


async def _rollback(name: str, to: int, wait: bool, output: Output, address: str | None, config: Path | None) -> int:
    from orchestrator.v1 import orchestrator_pb2 as pb

    async with connected(address, config) as client:
        answer = await client.rollback(pb.RollbackRequest(name=name, revision=to, actor=_user()))
        end = await _settled(client, {name}, answer.results) if wait else End()
    _show(answer.results, output, end)
    return _exit(answer.results, end)
