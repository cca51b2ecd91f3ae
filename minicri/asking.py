"""Commands that look: ``get``, ``describe``, ``logs``, ``events``, ``export``. None of them changes anything."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from minicri.options import (
    AddressOption,
    ConfigOption,
    ContainerOption,
    LabelsOption,
    ManifestFormat,
    Name,
    Names,
    Output,
    OutputOption,
)
from minicri.running import connected, execute, format_name, selector

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.api import Api
    from orchestrator.v1 import orchestrator_pb2 as pb


def get(
    names: Names = None,
    label: LabelsOption = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay and show changes.")] = False,
    output: OutputOption = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Show tasks and where they stand."""
    execute(_get(names, label, watch, output, address, config), output)


async def _get(
    names: list[str] | None,
    label: list[str] | None,
    watch: bool,
    output: Output,
    address: str | None,
    config: Path | None,
) -> None:
    from orchestrator.v1 import orchestrator_pb2 as pb

    request = pb.ListRequest(selector=selector(names, label))
    async with connected(address, config) as client:
        if watch and output in (Output.TABLE, Output.WIDE) and sys.stdout.isatty():
            from minicri.live import show_tasks

            await show_tasks(client, request, wide=output is Output.WIDE)
            return
        listed = await client.list(request)
        print_tasks(listed.tasks, output, single=names is not None and len(names) == 1)
        if watch:
            wanted = {task.name for task in listed.tasks} if names or label else None
            await _print_events(client, pb.WatchRequest(after=listed.sequence, follow=True), output, wanted)


def print_tasks(tasks: Sequence[pb.Task], output: Output, *, single: bool = False) -> None:
    from minicri import printing

    if output in (Output.JSON, Output.YAML):
        found = [printing.task_data(task) for task in tasks]
        print(printing.structured(found[0] if single and len(found) == 1 else found, output))
    elif tasks:
        wide = output is Output.WIDE
        rows = [printing.task_row(task, time.time(), wide=wide) for task in tasks]
        print(printing.columns(printing.WIDE_HEADER if wide else printing.HEADER, rows))
    else:
        print("no tasks", file=sys.stderr)


def describe(
    name: Name, output: OutputOption = Output.TABLE, address: AddressOption = None, config: ConfigOption = None
) -> None:
    """Say why a task is where it is, what was tried, and what comes next and when."""
    execute(_describe(name, output, address, config), output)


async def _describe(name: str, output: Output, address: str | None, config: Path | None) -> None:
    from minicri import printing
    from orchestrator.v1 import orchestrator_pb2 as pb

    async with connected(address, config) as client:
        told = await client.describe(pb.DescribeRequest(name=name))
    task = printing.task_data(told.task)
    if output in (Output.JSON, Output.YAML):
        events = [printing.event_data(event) for event in told.events]
        print(
            printing.structured({**task, "why": told.why, "addresses": list(told.addresses), "events": events}, output)
        )
        return
    spec = task.pop("spec")
    lines = {**task, "addresses": ", ".join(told.addresses)}
    for key, value in lines.items():
        if value not in (None, ""):
            print(f"{key.replace('_', ' ').capitalize() + ':':<14} {value}")
    print(f"\nWhy:           {told.why}\n\nSpec:")
    print("\n".join("  " + line for line in printing.structured(spec, Output.YAML).splitlines()))
    print("\nEvents:")
    for event in told.events:
        print(printing.event_line(event))


def logs(
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the task has ended.")] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Only the last N lines.", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only lines younger than 30s, 5m, …", show_default=False)
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Put the time before each line.")] = False,
    container: ContainerOption = "",
    output: Annotated[Output, typer.Option("--output", "-o", help="json: one object a line.")] = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Print what tasks wrote, stdout to stdout and stderr to stderr."""
    execute(_logs(names, follow, tail, since, timestamps, container, output, address, config), output)


async def _logs(
    names: list[str],
    follow: bool,
    tail: int | None,
    since: str | None,
    timestamps: bool,
    container: str,
    output: Output,
    address: str | None,
    config: Path | None,
) -> None:
    from cri.errors import InvalidArgument
    from manifests import shortforms
    from minicri.lines import LineWriter
    from minicri.printing import log_data
    from orchestrator.v1 import orchestrator_pb2 as pb

    since_ns = 0
    if since is not None:
        try:
            since_ns = time.time_ns() - round(shortforms.duration(since) * 1e9)
        except ValueError as error:
            raise InvalidArgument(f"--since {since!r}: {error}") from error

    async def copy(name: str, width: int) -> None:
        request = pb.LogsRequest(name=name, follow=follow, tail=tail, since_ns=since_ns, container=container)
        writer = LineWriter(f"{name:<{width}} | " if width else "", timestamps=timestamps)
        async for line in client.logs(request):
            if output is Output.JSON:
                print(json.dumps(log_data(name, line), ensure_ascii=False), flush=True)
            else:
                writer.write(line)
        writer.close()

    async with connected(address, config) as client:
        listed = await client.list(pb.ListRequest(selector=pb.Selector(names=names)))
        found = [task.name for task in listed.tasks]
        width = max(map(len, found)) if len(found) > 1 else 0
        async with asyncio.TaskGroup() as group:
            for name in found:
                group.create_task(copy(name, width))


def events(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False)] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on with what happens.")] = False,
    after: Annotated[int, typer.Option(min=0, metavar="SEQ", help="Only events after this number.")] = 0,
    output: OutputOption = Output.TABLE,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Print the history: every transition, refusal and note. Resume with --after and the last number seen."""
    execute(_events(name, watch, after, output, address, config), output)


async def _events(
    name: str | None, watch: bool, after: int, output: Output, address: str | None, config: Path | None
) -> None:
    from orchestrator.v1 import orchestrator_pb2 as pb

    async with connected(address, config) as client:
        await _print_events(client, pb.WatchRequest(after=after, task=name or "", follow=watch), output)


async def _print_events(api: Api, request: pb.WatchRequest, output: Output, names: set[str] | None = None) -> None:
    """One line an event, also as JSON, so that a reader need not wait for an end that may never come."""
    from minicri import printing

    async for answer in api.watch(request):
        event = answer.event
        if names is not None and event.task not in names:
            continue
        if output is Output.JSON:
            print(json.dumps(printing.event_data(event), ensure_ascii=False), flush=True)
        elif output is Output.YAML:
            print("---\n" + printing.structured(printing.event_data(event), output), flush=True)
        else:
            print(printing.event_line(event), flush=True)


def export(
    names: Names = None,
    label: LabelsOption = None,
    form: Annotated[
        ManifestFormat, typer.Option("--output", "-o", help="The manifest's format.")
    ] = ManifestFormat.YAML,
    address: AddressOption = None,
    config: ConfigOption = None,
) -> None:
    """Write the declared tasks as a manifest that apply takes back without loss."""
    execute(_export(names, label, form, address, config))


async def _export(
    names: list[str] | None, label: list[str] | None, form: ManifestFormat, address: str | None, config: Path | None
) -> None:
    from orchestrator.v1 import orchestrator_pb2 as pb

    async with connected(address, config) as client:
        answer = await client.export(pb.ExportRequest(selector=selector(names, label), format=format_name(form)))
    sys.stdout.write(answer.manifest)
