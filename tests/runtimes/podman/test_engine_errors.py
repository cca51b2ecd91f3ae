"""Failures of the engine as errors of the contract."""

from __future__ import annotations

import pytest

from cri.errors import (
    Aborted,
    AlreadyExists,
    CRIError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from runtimes.podman.engine_errors import for_status, is_conflict


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, InvalidArgument), (404, NotFound), (409, FailedPrecondition), (418, InvalidArgument), (503, Unavailable)],
)
def test_the_status_tells_the_class(status: int, expected: type[CRIError]) -> None:
    assert type(for_status(status, "whatever it says: no such container")) is expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('creating container storage: the container name "a" is already in use', AlreadyExists),
        ("adding pod to state: name x is in use: pod already exists", AlreadyExists),
        ("no container with name or ID x found: no such container", NotFound),
        ("write /x: no space left on device", ResourceExhausted),
        ("crun: open executable: Permission denied: OCI permission denied", FailedPrecondition),
        ("route ip+net: no such network interface", Aborted),
        ("something nobody foresaw", Internal),
    ],
)
def test_behind_500_the_root_of_the_failure_does(message: str, expected: type[CRIError]) -> None:
    assert type(for_status(500, message)) is expected


def test_the_failures_of_a_pods_containers_are_its_message() -> None:
    error = for_status(409, '{"Errs":["starting container x: crun: no"],"Id":"y"}')
    assert error.message == "starting container x: crun: no"
    assert is_conflict(error)


def test_the_call_stands_before_its_failure() -> None:
    assert for_status(404, "no such image", "GET /images/x/json").message == "GET /images/x/json: no such image"
