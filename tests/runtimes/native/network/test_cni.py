"""Networks of CNI plug-ins."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cri.annotations import EXTRA_HOSTS, MAC_ADDRESS, NETWORK
from cri.errors import FailedPrecondition, InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.network import namespaces
from tests.host.fixtures import give_up
from tests.host.packages import has_cni_plugins
from tests.runtimes.native.network import host
from tests.runtimes.native.network.engine import Engine, port
from tests.runtimes.native.network.engine import engine as made_engine
from tests.runtimes.native.network.recorder import Plugins


class Recorded(Plugins):
    """An engine whose default network is made of two recorders."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        super().__init__(directory)
        self.engine = engine


@pytest.fixture
async def recorded(private_host: None, tmp_path: Path) -> AsyncIterator[Recorded]:
    plugins = Plugins(tmp_path)
    plugins.install()
    async with made_engine(tmp_path, **plugins.settings) as engine:
        yield Recorded(engine, tmp_path)


async def test_plug_ins_connect_in_order_and_disconnect_in_reverse(recorded: Recorded) -> None:
    await recorded.engine.detach(await recorded.engine.sandbox())
    assert recorded.order() == [("ADD", "first"), ("ADD", "second"), ("DEL", "second"), ("DEL", "first")]


async def test_each_plug_in_is_told_what_the_one_before_answered(recorded: Recorded) -> None:
    await recorded.engine.detach(await recorded.engine.sandbox())
    first, second, *ends = recorded.calls()
    assert "prevResult" not in first["told"]
    assert second["told"]["prevResult"]["ips"][1]["address"] == "10.88.0.9/16"
    assert all(end["told"]["prevResult"] == second["told"]["prevResult"] for end in ends)


async def test_a_plug_in_knows_the_sandbox_and_its_pod(recorded: Recorded) -> None:
    metadata = v1.PodSandboxMetadata(name="web", namespace="shop", uid="u1")
    sandbox = await recorded.engine.sandbox(metadata=metadata)
    call = recorded.calls()[0]
    assert (call["CNI_CONTAINERID"], call["CNI_NETNS"], call["CNI_IFNAME"]) == (sandbox.id, str(sandbox.netns), "eth0")
    assert "K8S_POD_NAME=web" in call["CNI_ARGS"].split(";")
    assert (call["told"]["name"], call["told"]["bridge"]) == ("pods", "cni9")


async def test_the_address_is_the_plug_ins_ipv4_first(recorded: Recorded) -> None:
    wish = {EXTRA_HOSTS: "outside=host-gateway"}
    attached = (await recorded.engine.sandbox(annotations=wish)).attachment
    assert (attached.ip, attached.additional_ips, attached.host) == ("10.88.0.9", ("fd00:88::9",), "10.88.0.1")
    assert attached.extra_hosts == (("outside", "10.88.0.1"),)


async def test_ports_go_to_who_can_publish_them(recorded: Recorded) -> None:
    await recorded.engine.sandbox(port_mappings=[port(80, 8080, "127.0.0.1")])
    first, second = recorded.calls()
    assert "runtimeConfig" not in first["told"]
    expected = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"}]
    assert second["told"]["runtimeConfig"] == {"portMappings": expected}
    assert "capabilities" not in second["told"]


async def test_what_no_plug_in_can_do_is_refused(recorded: Recorded) -> None:
    with pytest.raises(InvalidArgument, match="capability mac"):
        await recorded.engine.sandbox(annotations={MAC_ADDRESS: "02:42:ac:11:00:99"})


async def test_loopback_is_up(recorded: Recorded) -> None:
    with host.inside((await recorded.engine.sandbox()).netns):
        assert "LOOPBACK,UP" in host.ip("link", "show", "lo")


async def test_a_failure_is_told_in_the_plug_ins_words_and_undone(recorded: Recorded) -> None:
    recorded.fail("second", "ADD")
    with pytest.raises(FailedPrecondition, match="second: no luck: none at all"):
        await recorded.engine.sandbox("refused")
    assert recorded.order()[2:] == [("DEL", "second"), ("DEL", "first")]
    assert recorded.engine.networks.find("refused") is None


async def test_a_failed_removal_can_be_tried_again(recorded: Recorded) -> None:
    sandbox = await recorded.engine.sandbox()
    recorded.fail("first", "DEL")
    with pytest.raises(FailedPrecondition, match="DEL by first"):
        await recorded.engine.detach(sandbox)
    recorded.succeed("first", "DEL")
    await recorded.engine.detach(sandbox)
    await recorded.engine.detach(sandbox)
    assert recorded.order().count(("DEL", "first")) == 2


async def test_what_was_made_is_removed_whatever_the_configuration_says_now(recorded: Recorded, tmp_path: Path) -> None:
    sandbox = await recorded.engine.sandbox()
    (recorded.configs / "10-pods.conflist").unlink()
    async with made_engine(tmp_path, cni_bin_dirs=(str(recorded.plugins),)) as without:
        await without.detach(sandbox)
    assert ("DEL", "first") in recorded.order()


async def test_recovery_removes_the_lost_and_checks_the_rest(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    kept, lost = await recorded.engine.sandbox(), await recorded.engine.sandbox()
    namespaces.remove(lost.netns.parent)
    recorded.fail("second", "CHECK")
    with caplog.at_level(logging.WARNING):
        await recorded.engine.networks.recover(lambda: {kept.id})
    last = recorded.calls()[4:]
    assert sorted({(call["CNI_CONTAINERID"], call["CNI_COMMAND"]) for call in last}) == [
        (kept.id, "CHECK"),
        (lost.id, "DEL"),
    ]
    assert {call["CNI_NETNS"] for call in last if call["CNI_COMMAND"] == "DEL"} == {""}
    assert "no luck" in caplog.text


async def test_recovery_leaves_to_another_process_what_that_removes_right_now(recorded: Recorded) -> None:
    sandbox = await recorded.engine.sandbox()
    with recorded.engine.locks.try_hold("sandbox", sandbox.id):
        await recorded.engine.networks.recover(set)
    assert ("DEL", "first") not in recorded.order()
    await recorded.engine.networks.recover(set)
    assert recorded.order()[-1] == ("DEL", "first")


async def test_a_named_network_is_the_engines_own_all_the_same(recorded: Recorded) -> None:
    assert (await recorded.engine.sandbox(annotations={NETWORK: "shop"})).ip == "10.98.0.2"


async def test_a_plug_in_that_is_not_there_is_named(recorded: Recorded) -> None:
    (recorded.plugins / "second").unlink()
    with pytest.raises(Unimplemented, match="plug-in second"):
        await recorded.engine.sandbox()
    # Only it could say that it has nothing to undo: that waits until it is there.
    (recorded.plugins / "second").symlink_to("first")
    await recorded.engine.networks.recover(set)
    assert recorded.order()[-1] == ("DEL", "first")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "10-pods"),
        ("{}", "no name"),
        ('{"name": "x", "plugins": []}', "no plugins"),
        ('{"name": "x", "type": "../../bin/sh"}', "type"),
        ('{"name": "x", "type": "a", "cniVersion": "new"}', "cniVersion"),
    ],
)
async def test_a_configuration_that_cannot_be_understood_says_where(recorded: Recorded, text: str, words: str) -> None:
    (recorded.configs / "10-pods.conflist").write_text(text)
    with pytest.raises(FailedPrecondition, match=words):
        await recorded.engine.sandbox()


async def test_no_configuration_at_all_is_told(recorded: Recorded) -> None:
    for path in list(recorded.configs.iterdir()):
        path.unlink()
    with pytest.raises(FailedPrecondition, match="no CNI network"):
        await recorded.engine.sandbox()


@pytest.fixture
async def plugged(request: pytest.FixtureRequest, private_host: None, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine on the plug-ins that the host has: a bridge with published ports."""
    if not has_cni_plugins():
        give_up(request, "this test needs CNI's plug-ins: install containernetworking-plugins", "native")
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": "10.88.0.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(tmp_path / "ipam"),
    }
    bridge = {"type": "bridge", "bridge": "cni9", "isGateway": True, "ipMasq": False, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    (tmp_path / "net.d").mkdir()
    conflist = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, portmap]}
    (tmp_path / "net.d" / "pods.conflist").write_text(json.dumps(conflist))
    async with made_engine(tmp_path, cni_config_dir=str(tmp_path / "net.d")) as engine:
        yield engine


async def test_real_plug_ins_connect_and_publish(plugged: Engine) -> None:
    sandbox = await plugged.sandbox(port_mappings=[port(80, 8080)])
    with host.server(sandbox.netns, 80) as listening:
        host.answers(listening, None, sandbox.ip, 80)
        host.answers(listening, None, "127.0.0.1", 8080)
    await plugged.networks.recover(lambda: {sandbox.id})
    await plugged.detach(sandbox)
    with host.inside(sandbox.netns):
        assert host.interfaces() == {"lo"}
