"""Which events lie between two looks."""

from __future__ import annotations

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.shared.lifecycle import Phase, events_between

CREATED, STARTED = v1.CONTAINER_CREATED_EVENT, v1.CONTAINER_STARTED_EVENT
STOPPED, DELETED = v1.CONTAINER_STOPPED_EVENT, v1.CONTAINER_DELETED_EVENT


@pytest.mark.parametrize(
    ("known", "seen", "events"),
    [
        (Phase.ABSENT, Phase.CREATED, [CREATED]),
        (Phase.ABSENT, Phase.RUNNING, [CREATED, STARTED]),
        (Phase.ABSENT, Phase.EXITED, [CREATED, STARTED, STOPPED]),
        (Phase.CREATED, Phase.RUNNING, [STARTED]),
        (Phase.RUNNING, Phase.EXITED, [STOPPED]),
        (Phase.RUNNING, Phase.DELETED, [STOPPED, DELETED]),
        (Phase.EXITED, Phase.DELETED, [DELETED]),
    ],
)
def test_every_step_on_the_way_is_an_event(known: Phase, seen: Phase, events: list[v1.ContainerEventType]) -> None:
    assert events_between(known, seen, ran=True) == events


@pytest.mark.parametrize("phase", Phase)
def test_what_did_not_change_is_no_event(phase: Phase) -> None:
    assert events_between(phase, phase, ran=True) == []


def test_what_failed_to_start_ended_without_having_started() -> None:
    assert events_between(Phase.CREATED, Phase.EXITED, ran=False) == [STOPPED]
    assert events_between(Phase.ABSENT, Phase.EXITED, ran=False) == [CREATED, STOPPED]


def test_what_never_ran_is_only_deleted() -> None:
    assert events_between(Phase.CREATED, Phase.DELETED, ran=False) == [DELETED]
    assert events_between(Phase.RUNNING, Phase.DELETED, ran=False) == [STOPPED, DELETED]


def test_what_runs_after_it_ended_was_started_again() -> None:
    assert events_between(Phase.EXITED, Phase.RUNNING, ran=True) == [STARTED]


@pytest.mark.parametrize("seen", [Phase.ABSENT, Phase.CREATED, Phase.RUNNING, Phase.EXITED])
def test_what_is_deleted_stays_deleted(seen: Phase) -> None:
    assert events_between(Phase.DELETED, seen, ran=True) == []
