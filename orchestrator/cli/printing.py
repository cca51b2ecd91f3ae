"""How answers look: plain data for programs, aligned columns for people. Pure but for the clock that is handed in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.cli.options import Output
from orchestrator.messages import state_name
from orchestrator.v1 import orchestrator_pb2 as pb

Row = Sequence[str]

HEADER = ("NAME", "STATE", "ATTEMPT", "AGE", "EXIT", "REASON")
WIDE_HEADER = (*HEADER, "IMAGE", "CONTAINER", "MESSAGE")


def structured(value: Any, output: Output) -> str:
    """``value`` as JSON or YAML."""
    if output is Output.YAML:
        import yaml

        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110).rstrip()
    return json.dumps(value, indent=2, ensure_ascii=False)


def columns(header: Row, rows: Iterable[Row]) -> str:
    """Left-aligned columns, two spaces apart."""
    table = [header, *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def moment(time_ns: int) -> str | None:
    """RFC 3339 in UTC; None for "not yet"."""
    if not time_ns:
        return None
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(seconds: float) -> str:
    """``42s``, ``5m``, ``3h``, ``2d``."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size * 2:
            return f"{int(seconds // size)}{unit}"
    return f"{max(int(seconds), 0)}s"


def task_data(task: pb.Task) -> dict[str, Any]:
    """A task for ``-o json``. The keys are part of the interface."""
    return {
        "name": task.name,
        "uid": task.uid,
        "state": state_name(task.state),
        "desired": state_name(task.desired),
        "attempt": task.attempt,
        "reason": task.reason,
        "message": task.message,
        "exit_code": task.exit_code if task.HasField("exit_code") else None,
        "created_at": moment(task.created_at_ns),
        "started_at": moment(task.started_at_ns),
        "finished_at": moment(task.finished_at_ns),
        "next_try_at": moment(task.next_try_at_ns),
        "sandbox_id": task.sandbox_id,
        "container_id": task.container_id,
        "spec": json.loads(task.spec_json or "{}"),
    }


def task_row(task: pb.Task, now: float, *, wide: bool) -> Row:
    """A task as a line of the table."""
    since = task.finished_at_ns or task.started_at_ns or task.created_at_ns
    reason = task.reason
    if task.next_try_at_ns:
        reason = f"{reason} (next try in {age(task.next_try_at_ns / 1e9 - now)})".strip()
    row = (
        task.name,
        state_name(task.state),
        str(task.attempt),
        age(now - since / 1e9),
        str(task.exit_code) if task.HasField("exit_code") else "-",
        reason or "-",
    )
    return (*row, task.image, task.container_id[:12] or "-", task.message or "-") if wide else row


def event_data(event: pb.Event) -> dict[str, Any]:
    """An event for ``-o json``. The keys are part of the interface."""
    return {
        "sequence": event.sequence,
        "time": moment(event.time_ns),
        "task": event.task,
        "kind": pb.Event.Kind.Name(event.kind).removeprefix("KIND_").lower(),
        "from": state_name(event.from_state) or None,
        "to": state_name(event.to_state) or None,
        "attempt": event.attempt,
        "cause": event.cause,
        "actor": event.actor,
        "reason": event.reason,
        "message": event.message,
        "exit_code": event.exit_code if event.HasField("exit_code") else None,
    }


def event_line(event: pb.Event) -> str:
    """An event as one line: number, time, task, what happened, why."""
    source, target = state_name(event.from_state), state_name(event.to_state)
    happened = {
        pb.Event.KIND_TRANSITION: f"{source} -> {target}" if source else f"new, {target}",
        pb.Event.KIND_REJECTED: f"refused {target or 'a look'}",
        pb.Event.KIND_FORGOTTEN: "forgotten",
    }.get(event.kind, "note")
    time = datetime.fromtimestamp(event.time_ns / 1e9).astimezone().strftime("%H:%M:%S.%f")[:-3]
    exited = f" exit {event.exit_code}" if event.HasField("exit_code") and target in ("Completed", "Failed") else ""
    why = ": ".join(part for part in (event.reason, event.message) if part) or event.cause
    return f"{event.sequence:>6}  {time}  {event.task:<20}  {happened:<24}{exited}  {why}".rstrip()
