"""How answers look: plain data for programs, aligned columns for people. Pure but for the clock that is handed in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from minicri.options import Output
from orchestrator.v1 import orchestrator_pb2 as pb

Row = Sequence[str]

HEADER = ("NAME", "STATE", "READY", "ATTEMPT", "AGE", "EXIT", "REASON")
ROLLOUT_HEADER = ("NAME", "REVISION", "PROGRESS", "WANTED", "UPDATED", "ARRIVED", "MESSAGE")
WIDE_HEADER = (*HEADER, "IMAGE", "CONTAINER", "MESSAGE")


def change_name(number: pb.SubmitResponse.Change) -> str:
    """``CHANGE_CREATED`` -> ``created``."""
    return pb.SubmitResponse.Change.Name(number).removeprefix("CHANGE_").lower()


def state_name(number: pb.State) -> str:
    """``STATE_RUNNING`` -> ``Running``; none, or one that a newer orchestrator has, is ``""``."""
    named = pb.State.DESCRIPTOR.values_by_number.get(number)
    return named.name.removeprefix("STATE_").capitalize() if named and number else ""


def progress_name(number: pb.Declaration.Progress) -> str:
    """``PROGRESS_ROLLED_BACK`` -> ``rolled-back``."""
    return pb.Declaration.Progress.Name(number).removeprefix("PROGRESS_").lower().replace("_", "-")


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
        "ready": task.ready,
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
        "yes" if task.ready else "no",
        str(task.attempt),
        age(now - since / 1e9),
        str(task.exit_code) if task.HasField("exit_code") else "-",
        reason or "-",
    )
    return (*row, task.image, task.container_id[:12] or "-", task.message or "-") if wide else row


def change_data(result: pb.SubmitResponse.Result, task: pb.Task | None = None) -> dict[str, Any]:
    """What becomes of a submitted task, and where it has come to, for ``-o json``. The keys are part of the
    interface."""
    row: dict[str, Any] = {"name": result.name, "change": change_name(result.change), "message": result.message}
    if result.differences:
        row["differences"] = list(result.differences)
    if task is None:
        return row
    return {**row, "state": state_name(task.state), "message": result.message or task.message}


def declaration_data(declared: pb.Declaration) -> dict[str, Any]:
    """What is declared under a name for ``-o json``. The keys are part of the interface."""
    return {
        "name": declared.name,
        "source": declared.source,
        "revision": declared.revisions[-1].number,
        "progress": progress_name(declared.progress),
        "wanted": declared.wanted,
        "updated": declared.updated,
        "arrived": declared.arrived,
        "message": declared.message,
    }


def declaration_row(declared: pb.Declaration) -> Row:
    """The same as a line of the table."""
    told = declaration_data(declared)
    return [str(told[key.lower()]) or "-" for key in ROLLOUT_HEADER]


def revision_data(revision: pb.Declaration.Revision) -> dict[str, Any]:
    """A revision for ``-o json``. The keys are part of the interface."""
    return {
        "revision": revision.number,
        "declared_at": moment(revision.declared_at_ns),
        "actor": revision.actor,
        "cause": revision.cause,
        "image": revision.image,
        "spec": json.loads(revision.spec_json or "{}"),
    }


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


def log_data(name: str, line: pb.LogsResponse) -> dict[str, Any]:
    """A line of a task's output for ``-o json``. The keys are part of the interface."""
    return {
        "task": name,
        "time": moment(line.time_ns),
        "stream": "stderr" if line.stream == pb.LogsResponse.STREAM_STDERR else "stdout",
        "text": line.line.decode(errors="backslashreplace"),
        "partial": line.partial,
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
    # A new attempt keeps the reason of the last one's end in the record; what made it happen is its own cause.
    again = event.to_state == pb.STATE_SCHEDULED and event.from_state != pb.STATE_SCHEDULED
    parts = (event.cause,) if again else (event.reason, event.message or event.cause)
    why = ": ".join(part for part in parts if part)
    return f"{event.sequence:>6}  {time}  {event.task:<20}  {happened:<24}{exited}  {why}".rstrip()
