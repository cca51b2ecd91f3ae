"""A runtime by name, by address, or whichever engine answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import cri
from cri import plugins
from cri.errors import InvalidArgument, Unavailable
from cri.opening import Candidate, Choice, survey
from cri.plugins import Backend, BackendConfig, Probe
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import Scripted, scripted


class EngineConfig(BackendConfig):
    host: str = "here"
    speed: int = 1


class Engine(Backend[EngineConfig]):
    """A backend whose engine is as the test wants it, and that keeps what it was opened with."""

    config = EngineConfig

    def __init__(self, name: str, rank: int | None, probe: Probe | Exception | None) -> None:
        self.name = name  # type: ignore[misc]
        self.auto_rank = rank  # type: ignore[misc]
        self.found = probe
        self.opened: list[EngineConfig] = []
        self.runtime: Scripted | None = None

    async def probe(self, config: EngineConfig) -> Probe:
        if self.found is None:
            await asyncio.Event().wait()
        if isinstance(self.found, Exception):
            raise self.found
        assert isinstance(self.found, Probe)
        return self.found

    async def open(self, config: EngineConfig) -> Runtime:
        self.opened.append(config)
        self.runtime = scripted()
        return self.runtime


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``install(engine, ...)``: these are the backends, and no others."""

    def install(*engines: Engine) -> None:
        by_name = {engine.name: engine for engine in engines}
        monkeypatch.setattr(plugins, "names", lambda: sorted(by_name))
        monkeypatch.setattr(plugins, "find", by_name.__getitem__)

    return install  # type: ignore[return-value]


UP = Probe(True, "answers at /run/up.sock")
DOWN = Probe(False, "/run/down.sock does not exist")


async def test_auto_takes_the_first_engine_that_answers(install: Any) -> None:
    third, first, second = Engine("a", 30, UP), Engine("b", 10, DOWN), Engine("c", 20, UP)
    install(third, first, second)
    async with cri.open("auto") as runtime:
        assert runtime is second.runtime


async def test_auto_never_takes_a_backend_without_a_rank(install: Any) -> None:
    install(Engine("fake", None, UP), Engine("docker", 10, DOWN))
    with pytest.raises(Unavailable, match=r"no engine answers; not docker: /run/down\.sock does not exist"):
        async with cri.open("auto"):
            pass


async def test_auto_says_which_and_why_and_why_not_the_others(install: Any, caplog: pytest.LogCaptureFixture) -> None:
    install(Engine("a", 30, UP), Engine("b", 10, DOWN), Engine("c", 20, UP))
    choice = await survey()
    assert choice.chosen == Candidate("c", 20, UP)
    assert choice.explain() == "c (answers at /run/up.sock); not b: /run/down.sock does not exist"
    with caplog.at_level("INFO", "cri.opening"):
        async with cri.open():
            pass
    assert choice.explain() in caplog.text


async def test_a_survey_has_every_backend_in_the_order_of_preference(install: Any) -> None:
    install(Engine("a", None, UP), Engine("z", 10, DOWN), Engine("c", 20, UP), Engine("b", 20, UP))
    assert [candidate.name for candidate in (await survey()).candidates] == ["z", "b", "c", "a"]


async def test_an_engine_that_hangs_counts_as_absent(install: Any) -> None:
    install(Engine("hanging", 10, None), Engine("up", 20, UP))
    choice = await survey(timeout=0.1)
    assert choice.chosen is not None
    assert choice.chosen.name == "up"
    assert "not hanging: no answer within 0.1 s" in choice.explain()


async def test_a_probe_with_a_bug_counts_as_absent_and_is_logged(
    install: Any, caplog: pytest.LogCaptureFixture
) -> None:
    install(Engine("broken", 10, ValueError("boo")), Engine("up", 20, UP))
    choice = await survey()
    assert "not broken: the probe failed: ValueError: boo" in choice.explain()
    assert "Traceback" in caplog.text


async def test_a_wrong_section_counts_as_absent_and_names_the_field(install: Any) -> None:
    install(Engine("up", 10, UP))
    choice = await survey({"up": {"speeed": 1}})
    assert choice.chosen is None
    assert "runtimes.up.speeed: unknown key; did you mean 'speed'?" in choice.explain()


def test_no_backend_at_all_is_no_choice() -> None:
    assert Choice(()).chosen is None
    assert Choice(()).explain() == "no engine answers"


async def test_a_name_opens_its_backend_with_section_and_options_over_it(install: Any) -> None:
    engine = Engine("up", 10, UP)
    install(engine)
    async with cri.open("up", runtimes={"up": {"host": "there", "speed": 2}}, speed="3"):
        pass
    async with cri.open("up", runtimes={"up": EngineConfig(speed=4)}, host="x"):
        pass
    assert engine.opened == [EngineConfig(host="there", speed=3), EngineConfig(host="x", speed=4)]


async def test_the_runtime_is_closed_at_the_end_of_the_block_also_by_an_error(install: Any) -> None:
    engine = Engine("up", 10, UP)
    install(engine)
    with pytest.raises(KeyError):
        async with cri.open("up") as runtime:
            raise KeyError
    assert runtime is engine.runtime
    assert engine.runtime is not None
    assert engine.runtime.closed


async def test_a_wrong_option_names_the_nearest(install: Any) -> None:
    install(Engine("up", 10, UP))
    with pytest.raises(InvalidArgument, match=r"runtimes\.up\.hots: unknown key; did you mean 'host'\?"):
        async with cri.open("up", hots="x"):
            pass


async def test_options_for_auto_are_refused_because_nobody_knows_whose_they_are(install: Any) -> None:
    install(Engine("up", 10, UP))
    with pytest.raises(InvalidArgument, match="host"):
        async with cri.open("auto", host="x"):
            pass


async def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidArgument, match="did you mean 'docker'"):
        async with cri.open("dokcer"):
            pass


async def test_an_address_is_opened_as_an_endpoint(address: str) -> None:
    async def version(request: object) -> v1.VersionResponse:
        return v1.VersionResponse(runtime_name="served")

    async with cri.serve(scripted(version=version), address), cri.open(address, timeout=5) as runtime:
        assert (await runtime.version(v1.VersionRequest())).runtime_name == "served"


async def test_an_address_takes_what_the_section_remote_says_of_tls() -> None:
    section = {"address": "unix:///other", "insecure": True}
    async with (
        cri.serve(scripted(), "127.0.0.1:0", insecure=True) as server,
        cri.open(server.address, runtimes={"remote": section}) as runtime,
    ):
        assert await runtime.version(v1.VersionRequest()) == v1.VersionResponse()


async def test_an_address_where_nobody_answers_is_unavailable(address: str) -> None:
    with pytest.raises(Unavailable):
        async with cri.open(address):
            pass


async def test_a_wrong_address_is_refused_with_the_way_out() -> None:
    with pytest.raises(InvalidArgument, match=r"write unix:///run/x\.sock"):
        async with cri.open("/run/x.sock"):
            pass


async def test_the_fake_opens_by_its_name() -> None:
    async with cri.open("fake") as runtime:
        assert (await runtime.version(v1.VersionRequest())).runtime_name
