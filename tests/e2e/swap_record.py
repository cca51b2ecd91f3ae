"""What the scenario sees: one record for every engine, and the one table of what may differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EXPECTED: Mapping[str, object] = {
    "a sandbox that runs": "SANDBOX_READY",
    "a sandbox that runs has an address": True,
    "labels of a sandbox": {"app": "swap"},
    "annotations of a sandbox": {"note": "kept"},
    "a sandbox that was stopped": "SANDBOX_NOTREADY",
    "a sandbox that was stopped has one": False,
    "a container of a sandbox that was stopped": ["CONTAINER_EXITED", 137, "Error"],
    "sandboxes that are left after its removal": 0,
    "containers that are left after its removal": 0,
    "a container that was created": "CONTAINER_CREATED",
    "a container that was created has started": False,
    "labels and annotations of a container": ["swap", {"a": "b"}],
    "a container that exited by itself": ["CONTAINER_EXITED", 3, "Error"],
    "times of a container are in order": True,
    "the streams of a container that is gone": [
        ["stderr", "F", "wrong"],
        ["stdout", "F", "one"],
        ["stdout", "F", "two"],
        ["stdout", "P", "no end"],
    ],
    "a container that did what it should": ["CONTAINER_EXITED", 0, "Completed"],
    "a container that heeds SIGTERM": ["CONTAINER_EXITED", 5, "Error"],
    "what a container that heeds SIGTERM says": [["stdout", "F", "ready"], ["stdout", "F", "going"]],
    "a container that does not heed SIGTERM": ["CONTAINER_EXITED", 137, "Error"],
    "a container that is killed at once": ["CONTAINER_EXITED", 137, "Error"],
    "what a process finds": ["swap", "/tmp", "the-host", "0", "<two words>", "<$MODE>"],
    "a command inside": [7, "swap\n", "wrong\n"],
    "a neighbour in the sandbox": "shared\n",
    "containers of a sandbox": ["a", "b", "c"],
    "containers of one label": ["a", "b"],
    "containers of two labels": ["b"],
    "containers of a label that none has": [],
    "containers that have exited": ["c"],
    "containers by the beginning of an id": ["a"],
    "sandboxes of one label": 1,
    "pages on a published port": ["first", "second"],
    "commands with streams": [["websocket", "got it\n", "wrong\n", 4], ["spdy", "got it\n", "wrong\n", 4]],
    "a page on a forwarded port": "forwarded",
    "what is told of a sandbox and its container": [
        ["sandbox", "CONTAINER_CREATED_EVENT"],
        ["sandbox", "CONTAINER_STARTED_EVENT"],
        ["container", "CONTAINER_CREATED_EVENT"],
        ["container", "CONTAINER_STARTED_EVENT"],
        ["container", "CONTAINER_STOPPED_EVENT", ["CONTAINER_EXITED", 4, "Error"]],
        ["container", "CONTAINER_DELETED_EVENT"],
        ["sandbox", "CONTAINER_STOPPED_EVENT"],
        ["sandbox", "CONTAINER_DELETED_EVENT"],
    ],
    "the status of an unknown container": "NotFound",
    "the status of an unknown sandbox": "NotFound",
    "the start of an unknown container": "NotFound",
    "a command in an unknown container": "NotFound",
    "a URL for an unknown container": "NotFound",
    "a URL for an unknown sandbox": "NotFound",
    "new limits for an unknown container": "NotFound",
    "stats of an unknown container": "NotFound",
    "a new log of an unknown container": "NotFound",
    "a container in an unknown sandbox": "NotFound",
    "the stop of an unknown container": "ok",
    "the removal of an unknown container": "ok",
    "the stop of an unknown sandbox": "ok",
    "the removal of an unknown sandbox": "ok",
    "the removal of a missing image": "ok",
    "the status of a missing image": "ok",
    "a container of a missing image": "NotFound",
    "a container without a name": "InvalidArgument",
    "a sandbox without metadata": "InvalidArgument",
    "a group without a user": "InvalidArgument",
    "a mount at no full path": "InvalidArgument",
    "a log outside of its directory": "InvalidArgument",
    "a port that is none": "InvalidArgument",
    "a runtime handler that nobody has": "InvalidArgument",
    "a sysctl of the host": "InvalidArgument",
    "a reference that is none": "InvalidArgument",
    "a program that does not exist": "FailedPrecondition",
    "a command in a container that never ran": "FailedPrecondition",
    "a command in a container that exited": "FailedPrecondition",
    "an empty command": "InvalidArgument",
    "a command that does not exist": "InvalidArgument",
    "a command that takes too long": "DeadlineExceeded",
    "a URL for a container that exited": "FailedPrecondition",
    "a URL for a sandbox that was stopped": "FailedPrecondition",
    "a second start": "FailedPrecondition",
    "a start after the exit": "FailedPrecondition",
    "a container in a sandbox that was stopped": "FailedPrecondition",
    "a new log of a container that exited": "FailedPrecondition",
    "a second stop": "ok",
}


@dataclass(frozen=True)
class Difference:
    """What one engine answers otherwise: for ``reason``, these sentences of the record have these values."""

    engine: str
    reason: str
    seen: Mapping[str, object]


DIFFERENCES = (
    Difference(
        "remote",
        "containerd 1.6 has no GetContainerEvents",
        {"what is told of a sandbox and its container": "Unimplemented"},
    ),
    Difference(
        "remote",
        "containerd puts no code on its own errors; gRPC makes them UNKNOWN",
        dict.fromkeys(
            (
                "a runtime handler that nobody has",
                "a sysctl of the host",
                "a reference that is none",
                "a program that does not exist",
                "a command in a container that never ran",
                "a command in a container that exited",
                "an empty command",
                "a command that does not exist",
                "a URL for a container that exited",
                "a URL for a sandbox that was stopped",
                "a second start",
                "a start after the exit",
                "a new log of a container that exited",
            ),
            "Unknown",
        ),
    ),
    Difference(
        "remote",
        "containerd looks for the process of a stopped sandbox and does not find it",
        {"a container in a sandbox that was stopped": "NotFound"},
    ),
)


def expected(engine: str) -> dict[str, object]:
    """The record of ``engine``."""
    record = dict(EXPECTED)
    for difference in DIFFERENCES:
        if difference.engine == engine:
            record |= difference.seen
    return record
