"""Between the orchestrator's own values and the messages of its service. Pure; nanoseconds live only here."""

from __future__ import annotations

import json
from typing import Any

from cri.errors import InvalidArgument
from orchestrator import manifest
from orchestrator.documents import Format
from orchestrator.task import Event, EventKind, State, Task
from orchestrator.v1 import orchestrator_pb2 as pb

STATES: dict[State, pb.State] = {state: getattr(pb, f"STATE_{state.name}") for state in State}
_STATE_OF = {int(number): state for state, number in STATES.items()}
_KINDS: dict[EventKind, pb.Event.Kind] = {kind: getattr(pb.Event, f"KIND_{kind.name}") for kind in EventKind}
_FORMATS: dict[pb.Format, Format] = {pb.FORMAT_YAML: "yaml", pb.FORMAT_JSON: "json", pb.FORMAT_TOML: "toml"}
FORMATS = {form: number for number, form in _FORMATS.items()}


def nanoseconds(seconds: float | None) -> int:
    """0 for "not yet"."""
    return round(seconds * 1e9) if seconds else 0


def state_name(number: int) -> str:
    """``STATE_RUNNING`` -> ``Running``; an unknown one is ``""``."""
    state = _STATE_OF.get(number)
    return state.value if state else ""


def state_of(number: int) -> State:
    """The state a request names. Raises InvalidArgument."""
    if number not in _STATE_OF:
        raise InvalidArgument(f"states: {number} is not a state; allowed: {', '.join(map(str, sorted(_STATE_OF)))}")
    return _STATE_OF[number]


def format_of(number: pb.Format, text: str = "") -> Format:
    """The format a request names, or the one that ``text`` looks like. Raises InvalidArgument."""
    if number == pb.FORMAT_UNSPECIFIED:
        return manifest.guess_format(text)
    if number not in _FORMATS:
        raise InvalidArgument(f"format: {number} is not a format; allowed: {', '.join(map(str, sorted(_FORMATS)))}")
    return _FORMATS[number]


def task_message(task: Task) -> pb.Task:
    """A task as the service tells of it."""
    return pb.Task(
        name=task.id,
        uid=task.uid,
        state=STATES[task.state],
        desired=STATES[task.desired],
        attempt=task.attempt,
        reason=task.reason,
        message=task.message,
        exit_code=task.exit_code,
        created_at_ns=nanoseconds(task.created_at),
        started_at_ns=nanoseconds(task.started_at),
        finished_at_ns=nanoseconds(task.finished_at),
        next_try_at_ns=nanoseconds(task.next_try_at),
        sandbox_id=task.sandbox_id,
        container_id=task.container_id,
        spec_json=json.dumps(manifest.plain(task.spec)),
        image=task.spec.image,
        labels=task.spec.labels,
    )


def event_message(event: Event) -> pb.Event:
    """A line of the history as the service tells it."""
    ends: dict[str, Any] = {}
    if event.source is not None:
        ends["from_state"] = STATES[event.source]
    if event.target is not None:
        ends["to_state"] = STATES[event.target]
    return pb.Event(
        sequence=event.seq,
        time_ns=nanoseconds(event.time),
        task=event.task_id,
        uid=event.uid,
        kind=_KINDS[event.kind],
        cause=event.cause,
        actor=event.actor,
        reason=event.reason,
        message=event.message,
        attempt=event.attempt,
        exit_code=event.exit_code,
        **ends,
    )
