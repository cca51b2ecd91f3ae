"""The law: five states, one table, and what the queue's items make of what the Db knows. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from manifests.spec import TaskSpec
from orchestrator.heuristic import Verdict, accept
from orchestrator.task import (
    TRANSITIONS,
    EventKind,
    Item,
    State,
    Task,
    TransitionRefused,
    advance,
    register,
)
from orchestrator.why import why
from tests.orchestrator.driving import spec

P, S, R, C, F = State.PENDING, State.SCHEDULED, State.RUNNING, State.COMPLETED, State.FAILED

LAW = {P: {S, C}, S: {S, R, F, C}, R: {R, C, F, S}, F: {S}, C: set()}
"""From docs: written out a second time on purpose."""

NOW = 1000.0


def known(state: State, **more: Any) -> Task:
    desired = {R: R, S: R, P: R, C: C, F: F}[state]
    return Task(id="web", uid="u1", spec=spec(), **{"state": state, "desired": desired, "version": 1, **more})


def judged(task: Task | None, wish: State | None, *, of: TaskSpec | None = None, forget: bool = False) -> Verdict:
    item = Item(seq=7, task_id="web", wish=wish, spec=of, forget=forget, actor="test")
    return accept(item, task, now=NOW, uid="u2")


def test_there_are_five_states() -> None:
    assert [*State] == [P, S, R, C, F]


def test_the_table_is_the_law() -> None:
    assert {state: set(after) for state, after in TRANSITIONS.items()} == LAW


@pytest.mark.parametrize(("source", "target"), [*product(State, State)])
def test_only_what_the_table_allows_can_be_done(source: State, target: State) -> None:
    task = known(source)
    if target in LAW[source]:
        after, event = advance(task, target, cause="c", actor="a", now=NOW)
        assert (after.state, event.source, event.target) == (target, source, target)
    else:
        with pytest.raises(TransitionRefused, match=f"is {source} and cannot become {target}"):
            advance(task, target, cause="c", actor="a", now=NOW)


def test_the_refusal_says_what_is_allowed() -> None:
    with pytest.raises(TransitionRefused, match="from Pending follows Scheduled or Completed"):
        advance(known(P), R, cause="c", actor="a", now=NOW)


def test_a_task_seen_for_the_first_time_is_pending() -> None:
    task, event = register("web", "u1", spec(), cause="c", actor="a", now=NOW)
    assert task.state is P
    assert (event.source, event.target) == (None, P)


@pytest.mark.parametrize("wish", State)
def test_an_unknown_task_is_started_whatever_was_wished(wish: State) -> None:
    verdict = judged(None, wish, of=spec())
    assert verdict.task is not None
    assert (verdict.task.state, verdict.task.desired) == (S, R)
    assert [(event.source, event.target) for event in verdict.events] == [(None, P), (P, S)]


@pytest.mark.parametrize("wish", State)
def test_an_unknown_task_without_a_spec_is_refused(wish: State) -> None:
    verdict = judged(None, wish)
    assert not verdict.accepted
    assert verdict.task is None
    assert "no task 'web' is known" in verdict.events[0].message


@pytest.mark.parametrize(("state", "wish"), [(s, w) for s, w in product(State, State) if w not in LAW[s]])
def test_a_wish_against_the_table_is_refused_with_the_reason_and_changes_nothing(state: State, wish: State) -> None:
    task = known(state)
    verdict = judged(task, wish)
    assert not verdict.accepted
    assert verdict.task == task
    [event] = verdict.events
    assert (event.kind, event.source, event.target, event.item) == (EventKind.REJECTED, state, wish, 7)
    assert "follows" in event.message


@pytest.mark.parametrize(("state", "wish"), [(s, w) for s, w in product(State, State) if w in LAW[s]])
def test_a_wish_that_the_table_allows_is_what_is_desired_from_then_on(state: State, wish: State) -> None:
    verdict = judged(known(state), wish)
    assert verdict.accepted
    assert verdict.task is not None
    assert verdict.task.desired is (R if wish in (S, R) else wish)
    assert [event.item for event in verdict.events] == [7]


@pytest.mark.parametrize("state", [R, F])
def test_scheduled_is_a_restart_and_the_next_attempt(state: State) -> None:
    verdict = judged(known(state, attempt=4, failures=3, tries=2), S)
    assert verdict.task is not None
    assert (verdict.task.state, verdict.task.attempt, verdict.task.failures, verdict.task.tries) == (S, 5, 0, 0)


def test_a_wish_to_stop_leaves_the_state_to_what_the_runtime_says() -> None:
    verdict = judged(known(R), C)
    assert verdict.task is not None
    assert (verdict.task.state, verdict.task.desired) == (R, C)


def test_stopping_a_failed_task_that_will_be_tried_again_ends_the_trying() -> None:
    verdict = judged(known(F, desired=R), C)
    assert verdict.task is not None
    assert (verdict.task.state, verdict.task.desired, verdict.task.settled) == (F, F, True)


@pytest.mark.parametrize("state", State)
def test_a_look_changes_nothing_by_itself(state: State) -> None:
    assert judged(known(state), None) == Verdict(known(state))


@pytest.mark.parametrize("state", State)
def test_the_same_spec_again_asks_for_nothing(state: State) -> None:
    verdict = judged(known(state), S, of=spec())
    assert verdict.task == known(state)
    assert [event.kind for event in verdict.events] == [EventKind.NOTE]


@pytest.mark.parametrize("state", [S, R, F])
def test_another_spec_is_a_new_attempt_in_a_new_sandbox(state: State) -> None:
    verdict = judged(known(state, attempt=1), S, of=spec(args=["other"]))
    assert verdict.task is not None
    assert (verdict.task.uid, verdict.task.attempt, verdict.task.sandbox_attempt) == ("u1", 2, 2)
    assert verdict.task.spec.args == ("other",)


def test_another_spec_for_a_completed_task_is_a_new_task() -> None:
    verdict = judged(known(C), S, of=spec(args=["other"]))
    assert verdict.task is not None
    assert (verdict.task.uid, verdict.task.state) == ("u2", S)
    assert [event.kind for event in verdict.events] == [EventKind.FORGOTTEN, EventKind.TRANSITION, EventKind.TRANSITION]


def test_a_task_that_is_being_deleted_and_declared_again_is_a_new_task() -> None:
    verdict = judged(known(R, desired=C, forget=True), S, of=spec())
    assert verdict.task is not None
    assert (verdict.task.uid, verdict.task.forget) == ("u2", False)


def test_another_number_of_replicas_restarts_nobody() -> None:
    task = replace(known(R), spec=spec(replicas=2))
    verdict = judged(task, S, of=spec(replicas=3))
    assert verdict.task is not None
    assert (verdict.task.state, verdict.task.attempt, verdict.task.spec.replicas) == (R, 0, 3)


@pytest.mark.parametrize("state", [C, F])
def test_an_ended_task_can_be_forgotten_although_nothing_follows_its_state(state: State) -> None:
    verdict = judged(known(state), C, forget=True)
    assert verdict.task is not None
    assert (verdict.task.state, verdict.task.forget) == (state, True)


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (known(P), "It was seen, and is not scheduled yet."),
        (known(S), "It is being started."),
        (known(S, attempt=1), "It is being started, attempt 2."),
        (known(S, desired=C), "It is being cancelled."),
        (
            known(S, reason="ImagePullError", message="no such image", next_try_at=NOW + 2),
            "It waits for attempt 1, because the last try failed: no such image; next try in 2.0 s.",
        ),
        (known(R, started_at=NOW - 3, ready=True), "It runs, started 3.0 s ago."),
        (
            known(R, started_at=NOW - 3, reason="NotReady", message="exited with code 1"),
            "It runs, started 3.0 s ago, but is not ready: exited with code 1.",
        ),
        (
            known(S, reason="Waiting", message="db to be ready (db is Scheduled)"),
            "It waits for db to be ready (db is Scheduled).",
        ),
        (known(R, desired=C), "It is being stopped; it has 10 s to end by itself."),
        (
            known(F, exit_code=3, reason="Error", finished_at=NOW - 1),
            "It failed 1.0 s ago with exit code 3 (Error); its restart policy is never.",
        ),
        (known(C, reason="Completed", finished_at=NOW), "It ended 0.0 s ago (Completed); that is final."),
    ],
)
def test_why_is_one_sentence_on_where_it_stands_and_what_comes_next(task: Task, sentence: str) -> None:
    assert why(task, NOW) == sentence
