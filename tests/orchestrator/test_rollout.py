"""A rollout, step by step: whatever happens in whatever order, it keeps its limits and comes to an end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.spec import TaskSpec
from orchestrator.declaration import Progress, declare, earlier
from orchestrator.rollout import plan
from orchestrator.task import State, Task
from tests.orchestrator.cluster import BAD, Cluster
from tests.orchestrator.driving import spec


def images(cluster: Cluster) -> dict[str, str]:
    return {task.id: task.spec.image for task in cluster.staying}


replicas = st.none() | st.integers(0, 4)
rollouts = st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()).filter(lambda one: one[0] + one[1] > 0)


@given(
    before=replicas,
    after=replicas,
    rollout=rollouts,
    bad=st.booleans(),
    happenings=st.lists(
        st.tuples(st.sampled_from(["up", "up", "crash", "step", "step"]), st.integers(0, 9)), max_size=40
    ),
)
def test_whatever_happens_the_limits_hold_and_the_rollout_ends(
    before: int | None,
    after: int | None,
    rollout: tuple[int, int, bool],
    bad: bool,
    happenings: list[tuple[str, int]],
) -> None:
    surge, unavailable, rollback = rollout
    how = {"max_surge": surge, "max_unavailable": unavailable, "rollback": rollback}
    cluster = Cluster(spec(image="one", replicas=before))
    cluster.apply(spec(image=BAD if bad else "two", replicas=after, rollout=how))
    for what, which in happenings:
        ids = sorted(cluster.tasks)
        if what == "step" or not ids:
            cluster.step()
        elif what == "up":
            cluster.bring_up(ids[which % len(ids)])
        else:
            cluster.crash(ids[which % len(ids)])
    cluster.settle()
    cluster.now += 601.0  # nothing moves any more: the deadline is the last that can
    cluster.settle()
    progress = cluster.progress()
    if progress is Progress.FAILED:
        assert bad
        assert cluster.declared.message
        return
    assert progress is (Progress.ROLLED_BACK if cluster.declared.revisions[-1].undoes else Progress.COMPLETE)
    assert sorted(cluster.tasks) == sorted(cluster.declared.spec.task_ids)
    assert all(task.spec == cluster.declared.spec for task in cluster.tasks.values())
    assert len(cluster.up) == len(cluster.tasks)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"replicas": 3}, (1, 0)),
        ({"replicas": 3, "rollout": {"max_surge": 0, "max_unavailable": 2}}, (0, 2)),
        ({"replicas": 0}, (0, 1)),
        ({}, (0, 1)),
        ({"replicas": 1, "network": {"ports": ["8080:80"]}}, (0, 1)),
        ({"replicas": 1, "network": {"name": "lan", "ipv4": "10.1.2.3"}}, (0, 1)),
    ],
)
def test_what_cannot_run_twice_goes_down_for_its_successor(more: dict[str, Any], expected: tuple[int, int]) -> None:
    assert spec(**more).leeway == expected


def test_a_surge_replica_comes_up_before_the_first_one_goes_down() -> None:
    cluster = Cluster(spec(image="one", replicas=2))
    cluster.apply(spec(image="two", replicas=2))
    cluster.step()
    assert images(cluster) == {"web-0": "one", "web-1": "one", "web-surge-0": "two"}
    assert cluster.step() == 0
    cluster.bring_up("web-surge-0")
    cluster.step()
    assert images(cluster) == {"web-0": "two", "web-1": "one", "web-surge-0": "two"}
    assert cluster.up == {"web-1", "web-surge-0"}


def test_the_surge_replica_is_gone_when_the_rollout_is_complete() -> None:
    cluster = Cluster(spec(image="one", replicas=2))
    cluster.apply(spec(image="two", replicas=2))
    cluster.settle()
    assert images(cluster) == {"web-0": "two", "web-1": "two"}
    assert (cluster.progress(), cluster.declared.revision) == (Progress.COMPLETE, 2)


def test_a_broken_revision_is_rolled_back_and_says_why() -> None:
    cluster = Cluster(spec(image="one", replicas=3))
    cluster.apply(spec(image=BAD, replicas=3))
    cluster.settle()
    assert set(images(cluster).values()) == {"one"}
    assert cluster.progress() is Progress.ROLLED_BACK
    assert cluster.declared.message.startswith("revision 2 failed: web-surge-0 failed for good")
    assert [one.undoes for one in cluster.declared.revisions] == [0, 0, 2]


def test_a_broken_revision_is_rolled_back_to_as_many_as_are_asked_for_now() -> None:
    cluster = Cluster(spec(image="one", replicas=2))
    cluster.apply(spec(image=BAD, replicas=2))
    cluster.apply(spec(image=BAD, replicas=4))
    cluster.settle()
    assert images(cluster) == dict.fromkeys(["web-0", "web-1", "web-2", "web-3"], "one")
    assert cluster.progress() is Progress.ROLLED_BACK


def test_a_revision_that_cannot_be_as_many_keeps_its_own_number() -> None:
    cluster = Cluster(spec(image="one", replicas=1, network={"ports": ["8080:80"]}))
    cluster.apply(spec(image=BAD, replicas=3))
    cluster.settle()
    assert images(cluster) == {"web-0": "one"}


def test_all_but_the_surge_replica_were_up_through_a_broken_rollout() -> None:
    cluster = Cluster(spec(image="one", replicas=3))
    cluster.apply(spec(image=BAD, replicas=3))
    for _ in range(5):
        cluster.step()
        assert {"web-0", "web-1", "web-2"} <= cluster.up
        for task_id in set(cluster.tasks) - cluster.up:
            cluster.bring_up(task_id)


def test_without_rollback_a_broken_revision_stays_and_has_failed() -> None:
    cluster = Cluster(spec(image="one", replicas=2))
    cluster.apply(spec(image=BAD, replicas=2, rollout={"rollback": False}))
    cluster.settle()
    assert cluster.progress() is Progress.FAILED
    assert images(cluster) == {"web-0": "one", "web-1": "one", "web-surge-0": BAD}


def test_a_first_revision_that_is_broken_has_nothing_to_go_back_to() -> None:
    cluster = Cluster(spec(image=BAD))
    assert cluster.progress() is Progress.FAILED
    assert cluster.declared.revision == 1


def test_a_job_that_had_ended_is_not_run_again_because_its_successor_failed() -> None:
    cluster = Cluster(spec(image="one"))
    cluster.tasks["web"] = replace(cluster.tasks["web"], state=State.COMPLETED, desired=State.COMPLETED)
    cluster.apply(spec(image=BAD))
    cluster.settle()
    assert cluster.progress() is Progress.FAILED
    assert images(cluster) == {"web": BAD}


def test_a_rollout_that_comes_up_after_its_deadline_is_complete_after_all() -> None:
    cluster = Cluster(spec(image="one"))
    cluster.apply(spec(image="two", rollout={"rollback": False}))
    cluster.step()
    cluster.now += 601.0
    cluster.step()
    assert cluster.progress() is Progress.FAILED
    assert "nothing got further for 600 s; web is Scheduled" in cluster.declared.message
    cluster.settle()
    assert cluster.progress() is Progress.COMPLETE


def test_the_deadline_counts_from_the_last_step_forward() -> None:
    cluster = Cluster(spec(image="one", replicas=2))
    cluster.apply(spec(image="two", replicas=2))
    cluster.step()
    cluster.now += 500.0
    cluster.bring_up("web-surge-0")
    cluster.step()
    cluster.now += 500.0
    cluster.step()
    assert cluster.progress() is Progress.PROGRESSING


def test_a_task_is_up_only_after_it_ran_for_the_time_asked_for() -> None:
    cluster = Cluster(spec(image="one", rollout={"min_ready": 5}))
    assert cluster.progress() is Progress.PROGRESSING
    planned = plan(cluster.declared, list(cluster.tasks.values()), cluster.now)
    assert planned.look_at == cluster.now + 5
    cluster.now += 5
    cluster.step()
    assert cluster.progress() is Progress.COMPLETE


def test_a_clock_set_back_takes_nobody_down() -> None:
    cluster = Cluster(spec(image="one", replicas=1))
    cluster.now -= 500.0
    assert cluster.up == {"web-0"}


def test_a_missing_replica_is_made_anew() -> None:
    cluster = Cluster(spec(replicas=2))
    del cluster.tasks["web-1"]
    cluster.settle()
    assert sorted(cluster.tasks) == ["web-0", "web-1"]


def test_a_task_that_someone_stopped_stays_stopped() -> None:
    cluster = Cluster(spec())
    cluster.tasks["web"] = replace(cluster.tasks["web"], state=State.COMPLETED, desired=State.COMPLETED)
    assert cluster.step() == 0


def test_another_number_of_replicas_is_no_new_revision() -> None:
    cluster = Cluster(spec(replicas=2))
    cluster.apply(spec(replicas=4))
    cluster.settle()
    assert (cluster.declared.revision, len(cluster.tasks)) == (1, 4)


def test_no_more_than_ten_revisions_are_kept() -> None:
    cluster = Cluster(spec(image="v0"))
    for number in range(1, 15):
        cluster.apply(spec(image=f"v{number}"))
        cluster.settle()
    assert [one.number for one in cluster.declared.revisions] == list(range(6, 16))


def test_the_way_back_leads_past_what_never_worked() -> None:
    cluster = Cluster(spec(image="one"))
    cluster.apply(spec(image=BAD, rollout={"rollback": False}))
    cluster.settle()
    cluster.apply(spec(image="three"))
    cluster.settle()
    found = earlier(cluster.declared)
    assert found is not None
    assert (found.number, found.spec.image) == (1, "one")


class Id(str):
    """A task's id that counts how often one is looked up or compared."""

    touched = 0

    def __hash__(self) -> int:
        Id.touched += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Id.touched += 1
        return super().__eq__(other)


def touched(replicas: int, image: str) -> int:
    """How often ids are, in one look at so many tasks that run while ``image`` is what is declared."""
    old = spec(image="one", replicas=replicas)
    declared = declare(None, old, actor="test", cause="apply", now=0.0)
    declared = declare(declared, spec(image=image, replicas=replicas), actor="test", cause="apply", now=0.0)
    tasks = [Task(id=one, uid="u", spec=old, state=State.RUNNING, ready=True) for one in declared.spec.task_ids]
    Id.touched = 0
    plan(declared, tasks, 1.0)
    return Id.touched


@pytest.mark.parametrize("image", ["one", "two"], ids=["nothing to do", "all to be replaced"])
def test_ten_times_the_replicas_are_no_more_than_ten_times_the_work(
    image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = vars(TaskSpec)["task_ids"].fget
    monkeypatch.setattr(TaskSpec, "task_ids", property(lambda one: [Id(name) for name in names(one)]))
    assert 0 < touched(200, image) <= 11 * touched(20, image)
