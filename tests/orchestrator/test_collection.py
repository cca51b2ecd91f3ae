"""What is collected by which limit, and what stays whatever the limits say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cri.errors import Unavailable
from cri.image_collection import Disk, Pulled, stale_images
from cri.v1 import api_pb2 as v1
from orchestrator.collection import Limits, stale_logs
from orchestrator.collector import Collector
from orchestrator.measure import Measure
from orchestrator.pods import log_directory
from orchestrator.store import MemoryStore, Outcome, open_store
from orchestrator.task import State, Task
from tests.orchestrator.driving import orchestrating, reach, spec
from tests.orchestrator.engine import Engine

NOW = 1_000_000.0
LIMITS = Limits(log_attempts=2, log_age=100.0, image_age=1000.0, image_grace=10.0)
FULL = Disk(1000, 900)


def task(attempt: int) -> Task:
    return Task(id="web", uid="u", spec=spec(), attempt=attempt, version=1)


def unused(name: str, seconds: float) -> Pulled:
    return Pulled(id=name, unused_since=NOW - seconds)


def test_logs_of_attempts_that_lie_too_far_back_go_with_what_they_were_rotated_to() -> None:
    files = dict.fromkeys(["1.log", "2.log", "2.log.1", "side.2.log", "3.log", "4.log"], NOW)
    assert stale_logs(task(4), files, LIMITS, NOW) == ["1.log", "2.log", "2.log.1", "side.2.log"]


def test_logs_of_an_earlier_attempt_go_by_age_and_those_of_the_newest_never() -> None:
    files = {"3.log": NOW - 100, "4.log": NOW - 5000}
    assert stale_logs(task(4), files, LIMITS, NOW) == ["3.log"]
    assert stale_logs(task(4), files, replace(LIMITS, log_age=0), NOW) == []


def test_files_that_are_no_logs_stay() -> None:
    assert stale_logs(task(9), {"notes.txt": 0, "log": 0}, LIMITS, NOW) == []


def test_images_go_by_age() -> None:
    images = [unused("old", 1000), unused("new", 999), Pulled(id="used")]
    assert stale_images(images, {}, None, LIMITS, NOW) == ["old"]
    assert stale_images(images, {}, None, replace(LIMITS, image_age=0), NOW) == []


def test_images_go_longest_unused_first_until_there_is_room() -> None:
    images = [unused("c", 20), unused("a", 40), unused("b", 30)]
    assert stale_images(images, {"a": 50, "b": 50, "c": 50}, FULL, LIMITS, NOW) == ["a", "b"]


def test_images_stay_below_the_high_mark_and_during_their_grace() -> None:
    assert stale_images([unused("a", 40)], {"a": 50}, Disk(1000, 850), LIMITS, NOW) == []
    assert stale_images([unused("a", 9)], {"a": 50}, FULL, LIMITS, NOW) == []


class Counting(Measure):
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def collected(self, kind: str, count: int) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count


class Bench:
    """A collector whose clock is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.engine, self.store, self.counting = Engine(), MemoryStore(), Counting()
        self.collector = Collector(
            self.store, self.engine, folder, LIMITS, measure=self.counting, clock=lambda: self.now
        )

    async def pull(self, name: str) -> None:
        await self.collector.pull(v1.PullImageRequest(image=v1.ImageSpec(image=name)))

    async def collect_after(self, seconds: float) -> set[str]:
        await self.collector.collect_images()
        self.now += seconds
        await self.collector.collect_images()
        return self.engine.images


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_an_image_that_was_pulled_here_goes_once_nothing_has_used_it_for_long(bench: Bench) -> None:
    await bench.pull("nginx")
    assert await bench.collect_after(999) == {"busybox", "nginx"}
    assert await bench.collect_after(1) == {"busybox"}
    assert bench.counting.counts == {"image": 1}
    assert await bench.store.pulled_images() == []


async def test_an_image_that_was_there_before_is_not_ours(bench: Bench) -> None:
    await bench.pull("busybox")
    assert await bench.collect_after(5000) == {"busybox"}


async def test_an_image_that_a_known_task_names_stays(bench: Bench) -> None:
    await bench.pull("nginx")
    await bench.store.commit(Outcome(task=replace(task(0), spec=spec(image="nginx"), state=State.COMPLETED)))
    assert await bench.collect_after(5000) == {"busybox", "nginx"}


async def test_an_image_that_a_container_of_anybody_uses_stays(bench: Bench) -> None:
    await bench.pull("nginx")
    sandbox = await bench.engine.run_pod_sandbox(v1.RunPodSandboxRequest(config=v1.PodSandboxConfig()))
    config = v1.ContainerConfig(image=v1.ImageSpec(image="nginx"))
    await bench.engine.create_container(v1.CreateContainerRequest(pod_sandbox_id=sandbox.pod_sandbox_id, config=config))
    assert await bench.collect_after(5000) == {"busybox", "nginx"}


async def test_an_image_that_somebody_gave_another_name_stays(bench: Bench) -> None:
    await bench.store.keep_images([Pulled(id="busybox", names=("another",))])
    assert await bench.collect_after(5000) == {"busybox"}


async def test_a_failed_pull_is_not_remembered(bench: Bench) -> None:
    bench.engine.fail_next("pull_image", Unavailable("no registry"))
    with pytest.raises(Unavailable):
        await bench.pull("nginx")
    assert await bench.store.pulled_images() == []


async def test_what_was_pulled_and_how_long_it_is_unused_outlives_a_restart(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.keep_images([unused("a", 5), Pulled(id="b", names=("b:1",))])
        await store.keep_images([Pulled(id="a")], dropped=["none"])
    async with open_store(tmp_path) as store:
        assert list(await store.pulled_images()) == [Pulled(id="a"), Pulled(id="b", names=("b:1",))]


async def test_old_logs_are_removed_from_the_folders_of_known_tasks(bench: Bench, tmp_path: Path) -> None:
    folder = log_directory(tmp_path, "u")
    folder.mkdir(parents=True)
    for attempt in range(4):
        (folder / f"{attempt}.log").touch()
    await bench.store.commit(Outcome(task=task(3)))
    await bench.collector.collect_files()
    assert {path.name for path in folder.iterdir()} == {"2.log", "3.log"}
    assert bench.counting.counts == {"log": 2}


async def test_what_the_orchestrator_pulls_is_remembered(tmp_path: Path) -> None:
    store = MemoryStore()
    async with orchestrating(Engine(), tmp_path, store=store) as orchestrator:
        await orchestrator.submit([spec(image="nginx")], actor="test")
        await reach(orchestrator, "web", State.RUNNING)
    assert [one.id for one in await store.pulled_images()] == ["nginx"]
