"""What an engine that was killed in the middle of a creation leaves, and who else may be in the middle of one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.podman import leftovers
from runtimes.podman.engine import Engine
from runtimes.podman.leftovers import Leftovers
from runtimes.podman.sandbox_config import infra_name
from runtimes.shared.engine_process import EngineProcess
from runtimes.shared.names import container_name, sandbox_name
from tests.host.images import BUSYBOX
from tests.host.podman import PrivatePodman
from tests.host.podmans import PodmanEngine, call
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.podman.conftest import opened
from tests.runtimes.pods import Pod, until


@pytest.fixture
def private(private_podman_engine: PodmanEngine) -> PrivatePodman:
    """An engine on whose data we may work with Podman's command."""
    assert isinstance(private_podman_engine, PrivatePodman)
    return private_podman_engine


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else is making anything: what looks half made is left over."""
    monkeypatch.setattr(leftovers, "SETTLED", 0.0)


@contextmanager
def unnoted(engine: PrivatePodman) -> Iterator[None]:
    """What Podman's command does meanwhile is done to the storage, and the engine's notes on containers stay as they
    are."""
    notes = Path(engine.command()[engine.command().index("--root") + 1], "libpod/bolt_state.db")
    before = notes.read_bytes()
    yield
    as_before = notes.with_suffix(".before")
    as_before.write_bytes(before)
    as_before.chmod(0o600)
    as_before.replace(notes)


def run(engine: PrivatePodman, *arguments: str) -> None:
    subprocess.run(engine.command(*arguments), env=engine.environment, check=True, capture_output=True)


def leave_storage(engine: PrivatePodman, name: str) -> None:
    """What a killed engine leaves that had made a container's storage and not yet noted the container."""
    with unnoted(engine):
        run(engine, "create", "--name", name, BUSYBOX)


def take_storage(engine: PrivatePodman, container_id: str) -> None:
    """What a killed engine leaves that had removed a container's storage and not yet its note."""
    with unnoted(engine):
        run(engine, "rm", "--force", container_id)


def external(engine: PodmanEngine) -> list[str]:
    """The names of what has storage and is no container."""
    rows = call(engine.address, "GET", "/containers/json", {"all": "true", "external": "true"}) or []
    return [name for row in rows if row["State"] == "storage" for name in row["Names"]]


@pytest.mark.usefixtures("at_once")
async def test_a_sandbox_is_made_over_what_a_killed_engine_left_of_it(
    private: PrivatePodman, run_sandbox: RunSandbox
) -> None:
    metadata = v1.PodSandboxMetadata(name="web", namespace="tests", uid="uid-web")
    leave_storage(private, infra_name(sandbox_name(metadata)))
    assert await run_sandbox("web")
    assert external(private) == []


@pytest.mark.usefixtures("at_once")
async def test_a_container_is_made_over_what_a_killed_engine_left_of_it(private: PrivatePodman, pod: Pod) -> None:
    request = v1.PodSandboxStatusRequest(pod_sandbox_id=pod.sandbox_id)
    sandbox = (await pod.runtime.pod_sandbox_status(request)).status.metadata
    leave_storage(private, container_name(v1.ContainerMetadata(name="c"), sandbox, pod.sandbox_id))
    assert await pod.create("true")
    assert external(private) == []


async def test_a_container_whose_removal_was_cut_off_can_be_removed_and_made_again(
    private: PrivatePodman, pod: Pod
) -> None:
    half_gone = await pod.create("true")
    take_storage(private, half_gone)
    await pod.remove(half_gone)
    assert not (await pod.runtime.list_containers(v1.ListContainersRequest())).containers
    again = await pod.create("true")
    take_storage(private, again)
    assert await pod.create("true")


async def test_a_container_whose_removal_was_cut_off_is_no_longer_there_and_goes_when_somebody_looks(
    private: PrivatePodman, pod: Pod
) -> None:
    take_storage(private, await pod.create("true"))
    assert not (await pod.runtime.list_containers(v1.ListContainersRequest())).containers
    pods = call(private.address, "GET", f"/pods/{pod.sandbox_id}/json")
    assert len(pods["Containers"]) == 1  # the infra container


@pytest.fixture
def strangers(private: PrivatePodman) -> Iterator[str]:
    """Storage without a container, of somebody else's."""
    leave_storage(private, "somebody")
    yield "somebody"
    call(private.address, "DELETE", "/containers/somebody", {"force": "true"})


async def test_what_a_killed_engine_left_goes_though_nobody_asks_for_it_again(
    private: PrivatePodman, strangers: str
) -> None:
    leave_storage(private, "minicri_sandbox_gone_tests_uid_0_infra")
    private.restart()
    async with opened(private):
        assert external(private) == [strangers]


async def test_what_a_killed_engine_left_goes_when_it_is_back(private: PrivatePodman, strangers: str) -> None:
    async with opened(private):
        leave_storage(private, "minicri_sandbox_gone_tests_uid_0_infra")
        private.restart()
        await until(lambda: external(private) == [strangers], "the engine has nothing left of ours")


async def test_storage_that_may_still_become_a_container_stays(private: PrivatePodman) -> None:
    name = "minicri_sandbox_coming_tests_uid_0_infra"
    leave_storage(private, name)
    async with opened(private):
        assert external(private) == [name]
    call(private.address, "DELETE", f"/containers/{name}", {"force": "true"})


class HalfWay:
    """An engine in which ``c`` is half made, or half removed, for so many looks; then it is a container, or gone."""

    def __init__(self, state: str, looks: int, *, then: str | None, age: float = 0.0, started: float = 0.0) -> None:
        self._looks = looks
        self._states = {True: state, False: then}
        self._made = datetime.fromtimestamp(time.time() - age, UTC).isoformat()
        self._process = EngineProcess(started=started)
        self.broken = False
        self.deleted: list[str] = []

    async def get(self, path: str, *, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._looks -= 1
        state = self._states[self._looks >= 0]
        return [{"Id": "1", "State": state, "Names": ["c"], "Created": self._made}] if state else []

    async def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        return None if self.broken else {"Id": "1"}

    async def facts(self) -> Any:
        return SimpleNamespace(process=self._process)

    async def delete(self, path: str, *, params: Mapping[str, Any]) -> None:
        self.deleted.append(path)

    @property
    def leftovers(self) -> Leftovers:
        return Leftovers(cast(Engine, self))


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "LOOK_AGAIN", 0.0)


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("then", ["created", None])
async def test_what_somebody_else_is_making_is_left_alone(then: str | None) -> None:
    engine = HalfWay("storage", 3, then=then)
    assert (await engine.leftovers.clear("c"), engine.deleted) == (then is None, [])


@pytest.mark.parametrize(
    "engine", [HalfWay("storage", 1, then=None, age=60), HalfWay("storage", 1, then=None, started=1e12)]
)
async def test_what_nobody_can_be_making_any_more_is_cleared_away(engine: HalfWay) -> None:
    assert (await engine.leftovers.clear("c"), engine.deleted) == (True, ["/containers/c"])


@pytest.mark.usefixtures("no_pause")
async def test_what_somebody_else_is_removing_is_left_alone() -> None:
    engine = HalfWay("removing", 3, then=None)
    assert (await engine.leftovers.clear("c"), engine.deleted) == (True, [])


async def test_a_removal_that_was_cut_off_is_finished() -> None:
    engine = HalfWay("removing", 2, then=None)
    engine.broken = True
    assert await engine.leftovers.finish_removal("1")
    assert await engine.leftovers.clear("c")
    assert engine.deleted == ["/containers/1", "/containers/c"]


async def test_a_name_that_a_container_has_is_not_free() -> None:
    engine = HalfWay("running", 1, then="running")
    assert (await engine.leftovers.clear("c"), engine.deleted) == (False, [])
