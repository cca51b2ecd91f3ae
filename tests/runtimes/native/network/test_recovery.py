"""What is left after a crash at any moment, and after a reboot: nothing, and who stayed is served."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest

from cri.annotations import NETWORK, NETWORK_SUBNETS
from runtimes.native.network import host as host_network
from runtimes.native.network import leases, namespaces
from tests.runtimes.native.mortal import die, mortal
from tests.runtimes.native.network import host
from tests.runtimes.native.network.engine import Engine, Sandbox, port
from tests.runtimes.native.network.engine import engine as made_engine

STRIDE = 83
"""Lines of code between two moments at which the engine dies: a prime, so that no loop is met at one place only."""

CRASH = "tests.runtimes.native.network.crash"
TABLES = ("networks", "network_subnets", "attachments", "address_leases", "published_ports")


def remove_namespaces(engine: Engine, *kept: str) -> None:
    for directory in engine.places.namespaces("any").parent.glob("*"):
        if directory.name not in kept:
            namespaces.remove(directory)


def rows(engine: Engine) -> dict[str, int]:
    with engine.database.read() as connection:
        counted = {table: connection.execute(f"select count(*) from {table}").fetchone()[0] for table in TABLES}
    return {table: number for table, number in counted.items() if number}


def links_of(engine: Engine) -> list[str]:
    return [name for name in host.interfaces() if engine.names.is_link(name)]


async def test_a_crash_at_any_moment_leaves_nothing_and_takes_nothing_away(engine: Engine, tmp_path: Path) -> None:
    stays = await engine.sandbox("stays", port_mappings=[port(80, 8080)])
    rules, links = host.rules(), host.interfaces()
    moments = itertools.count(1, STRIDE)
    with mortal(CRASH, tmp_path) as process, host.server(stays.netns, 80) as listening:
        while (end := die(process, number := next(moments))) == "killed":
            await engine.networks.recover(lambda: {"stays"})
            remove_namespaces(engine, "stays")
            assert (number, host.interfaces()) == (number, links)
            assert host.rules() == rules
            assert rows(engine)["attachments"] == 1
            host.answers(listening, None, "127.0.0.1", 8080)
    assert end == "done"
    assert number > 10 * STRIDE


async def test_after_everything_is_recovered_nothing_is_left(engine: Engine, tmp_path: Path) -> None:
    with mortal(CRASH, tmp_path) as process:
        for number in (300, 700, 1100):
            assert die(process, number) == "killed"
            remove_namespaces(engine)
    await engine.networks.recover(set)
    await engine.networks.close()
    assert rows(engine) == {}
    assert host.interfaces() == {"lo"}
    assert host.rules() == ""


@pytest.fixture
async def rebooted(private_host: None, tmp_path: Path) -> AsyncIterator[tuple[Engine, Sandbox]]:
    """An engine whose host was rebooted, and a sandbox that it had before: the state on disk is all that is left."""
    with host.private_host():
        before = Engine(tmp_path)
        sandbox = await before.sandbox("before", port_mappings=[port(80, 8080)])
        before.database.close()
        namespaces.remove(sandbox.netns.parent)
    async with made_engine(tmp_path) as after:
        yield after, sandbox


async def test_a_reboot_gives_everything_back(rebooted: tuple[Engine, Sandbox]) -> None:
    engine, _ = rebooted
    await engine.networks.recover(set)
    assert rows(engine) == {}
    await engine.sandbox(port_mappings=[port(80, 8080)])


async def test_links_that_no_row_speaks_of_are_removed(engine: Engine) -> None:
    sandbox = await engine.sandbox()
    with engine.database.write() as connection:
        connection.execute("delete from attachments")
    await engine.networks.recover(set)
    assert links_of(engine) == []
    with host.inside(sandbox.netns):
        assert host.interfaces() == {"lo"}


async def test_recovery_brings_bridges_and_rules_back(engine: Engine) -> None:
    sandbox = await engine.sandbox()
    before = host.rules()
    host.run(["nft", "flush", "ruleset"])
    await engine.networks.recover(lambda: {sandbox.id})
    assert host.rules() == before


@pytest.mark.parametrize("step", [(host_network, "_remove_link"), (leases, "remove_network")])
@pytest.mark.parametrize("subnets", ["", "10.78.0.0/24"])
async def test_a_network_whose_removal_was_cut_short_is_whole_for_the_next_sandbox(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, step: tuple[ModuleType, str], subnets: str
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr(*step, cut_short)
        await engine.detach(await engine.sandbox(annotations={NETWORK: "shop"}))
        await engine.networks.settle()
    wish = {NETWORK_SUBNETS: subnets} if subnets else {}
    sandbox = await engine.sandbox(annotations={NETWORK: "shop", **wish})
    with host.server(sandbox.netns, 80) as listening:
        assert host.answers(listening, None, sandbox.ip, 80) == sandbox.attachment.host


def cut_short(*_: object) -> None:
    raise OSError("somebody died")


async def test_what_another_process_attaches_meanwhile_is_left_alone(engine: Engine, tmp_path: Path) -> None:
    other = Engine(tmp_path)
    sandbox = await other.sandbox("theirs")
    await engine.networks.recover(lambda: {"theirs"})
    assert engine.networks.find("theirs") == sandbox.attachment
    await other.close()
