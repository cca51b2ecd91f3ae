"""Between the orchestrator's own values and the messages of its service. Pure; nanoseconds live only here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeVar

from google.protobuf.message import Message

from cri.documents import Format
from cri.errors import InvalidArgument
from manifests import manifest
from orchestrator.declaration import Declaration
from orchestrator.declaring import Submitted
from orchestrator.orphans import Orphan
from orchestrator.rollout import has_arrived
from orchestrator.task import Event, State, Task
from orchestrator.v1 import orchestrator_pb2 as pb

_M = TypeVar("_M", bound=Message)

STATES: dict[State | None, pb.State] = {state: getattr(pb, f"STATE_{state.name}") for state in State}
_STATE_OF = {int(number): state for state, number in STATES.items() if state is not None}
_FORMATS: dict[pb.Format, Format] = {pb.FORMAT_YAML: "yaml", pb.FORMAT_JSON: "json", pb.FORMAT_TOML: "toml"}


def nanoseconds(seconds: float | None) -> int:
    """0 for "not yet"."""
    return round(seconds * 1e9) if seconds else 0


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


def _filled(kind: type[_M], source: object, **given: Any) -> _M:
    """A message with what is ``given``, and for its other fields what ``source`` has under their names: times in
    nanoseconds, members of an enum by their names, None as absent."""
    for field in kind.DESCRIPTOR.fields:
        value = getattr(source, field.name.removesuffix("_ns"), None)
        if field.name in given or value is None:
            continue
        if field.name.endswith("_ns"):
            value = nanoseconds(value)
        elif isinstance(value, Enum) and field.enum_type is not None:
            value = field.enum_type.values_by_name[f"{field.enum_type.name.upper()}_{value.name}"].number
        given[field.name] = value
    return kind(**given)


def result_message(result: Submitted) -> pb.SubmitResponse.Result:
    """What becomes of a submitted task, as the service tells it."""
    change = getattr(pb.SubmitResponse, f"CHANGE_{result.change.upper()}")
    return _filled(pb.SubmitResponse.Result, result, name=result.task_id, change=change)


def declaration_message(declared: Declaration, tasks: Sequence[Task], now: float) -> pb.Declaration:
    """What is declared under a name, with how many of its ``tasks`` have come how far."""
    return _filled(
        pb.Declaration,
        declared,
        revisions=[
            _filled(pb.Declaration.Revision, one, image=one.spec.image, spec_json=json.dumps(manifest.plain(one.spec)))
            for one in declared.revisions
        ],
        wanted=len(declared.spec.task_ids),
        updated=sum(task.spec == declared.spec for task in tasks),
        arrived=sum(has_arrived(task, declared.spec, now) for task in tasks),
    )


def task_message(task: Task) -> pb.Task:
    """A task as the service tells of it."""
    spec = json.dumps(manifest.plain(task.spec))
    return _filled(pb.Task, task, name=task.id, spec_json=spec, image=task.spec.image, labels=task.spec.labels)


def orphan_message(orphan: Orphan) -> pb.Orphan:
    """What nobody knows, as the service tells of it."""
    return _filled(pb.Orphan, orphan, task=orphan.task_id)


def event_message(event: Event) -> pb.Event:
    """A line of the history as the service tells it."""
    ends = {"from_state": STATES.get(event.source), "to_state": STATES.get(event.target)}
    return _filled(pb.Event, event, sequence=event.seq, task=event.task_id, **ends)
