"""A real containerd as the endpoint."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import cri
from cri import annotations as names
from cri import logs, platforms
from cri.errors import NotFound, Unimplemented
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from runtimes.remote import RemoteConfig, backend
from tests.conformance.kit import Kit, free_port, shell
from tests.conformance.web import httpd, page_at
from tests.host.containerd import PrivateContainerd
from tests.orchestrator.commands import minicri, started


@pytest.fixture
async def runtime(containerd: PrivateContainerd) -> AsyncIterator[Runtime]:
    containerd.start()
    async with cri.open(containerd.address) as runtime:
        yield runtime


@pytest.fixture
async def kit(runtime: Runtime, tmp_path: Path) -> AsyncIterator[Kit]:
    async with Kit(runtime, "busybox", tmp_path) as kit:
        yield kit


async def test_a_probe_says_version_api_and_features(containerd: PrivateContainerd) -> None:
    probe = await backend.probe(RemoteConfig(address=containerd.address))
    assert probe.available
    assert probe.api == "v1"
    assert probe.detail == f"containerd {probe.version} at {containerd.address}"
    assert probe.features["minicri_annotations"] is False


async def test_a_pod_runs_logs_and_executes(kit: Kit) -> None:
    sandbox_id = await kit.sandbox()
    container_id = await kit.run(sandbox_id, *shell("echo begun; exec sleep 1000"))
    assert await kit.said(container_id, "echo", "hello") == "hello\n"
    await kit.logged(container_id, b"begun")
    await kit.stop(container_id)
    status = await kit.exited(container_id)
    assert (status.exit_code, status.reason) == (137, "Error")
    assert [record.text for record in logs.read(Path(status.log_path))] == [b"begun"]


async def test_a_published_port_answers_on_the_host(kit: Kit) -> None:
    port = free_port()
    sandbox_id = await kit.sandbox(port_mappings=[v1.PortMapping(container_port=80, host_port=port)])
    await kit.run(sandbox_id, *httpd("published", "80"))
    assert b"published" in await page_at("127.0.0.1", port)


async def test_a_streaming_url_is_containerds_own_and_answers(kit: Kit) -> None:
    container_id = await kit.run(await kit.sandbox())
    request = v1.ExecRequest(container_id=container_id, cmd=["true"], stdout=True)
    url = (await kit.runtime.exec(request)).url
    host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
    with socket.create_connection((host, int(port)), timeout=5):
        pass


async def test_an_rpc_that_it_does_not_have_is_unimplemented(runtime: Runtime) -> None:
    """CheckpointPod is younger than any containerd there is."""
    with pytest.raises(Unimplemented):
        await runtime.checkpoint_pod(v1.CheckpointPodRequest())


async def test_its_errors_have_the_class_of_their_code(runtime: Runtime) -> None:
    with pytest.raises(NotFound):
        await runtime.container_status(v1.ContainerStatusRequest(container_id="nobody"))


async def test_a_named_network_is_refused_clearly_and_nothing_is_made(kit: Kit) -> None:
    with pytest.raises(Unimplemented, match=r"is no minicri and would ignore minicri\.io/network='front'"):
        await kit.sandbox(annotations={names.NETWORK: "front"})
    assert await kit.sandboxes() == []


async def test_the_platform_of_this_machine_can_be_asked_for(kit: Kit) -> None:
    assert await kit.sandbox(annotations={names.PLATFORM: str(platforms.host())})


async def test_a_restart_of_containerd_is_bridged_and_containers_are_still_there(
    kit: Kit, containerd: PrivateContainerd
) -> None:
    container_id = await kit.run(await kit.sandbox())
    await asyncio.to_thread(containerd.stop)
    starting = asyncio.create_task(asyncio.to_thread(containerd.start))
    assert (await kit.status(container_id)).state == v1.CONTAINER_RUNNING
    await starting
    assert await kit.said(container_id, "echo", "still here") == "still here\n"


async def test_a_minicri_in_front_of_it_serves_it(containerd: PrivateContainerd, tmp_path: Path, address: str) -> None:
    serve = ("serve", "--runtime", containerd.address, "--listen", address)
    with started(tmp_path, *serve, ready=address):
        async with cri.connect(address) as client, Kit(client, "busybox", tmp_path) as kit:
            assert (await client.version(v1.VersionRequest())).runtime_name == "containerd"
            container_id = await kit.run(await kit.sandbox())
            assert await kit.said(container_id, "echo", "hello") == "hello\n"


def test_the_command_runs_a_manifest_on_it(containerd: PrivateContainerd, tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text("name: hello\nimage: busybox\ncommand: [echo, hello from containerd]\n")
    done = minicri(tmp_path, "run", "-f", "hello.yaml", "--runtime", containerd.address)
    assert done.returncode == 0, done.stderr
    assert "hello from containerd" in done.stdout
    assert containerd.contents() == []


def test_the_command_says_why_a_manifest_cannot_run_on_it(containerd: PrivateContainerd, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("name: net\nimage: busybox\ncommand: ['true']\nnetwork: front\n")
    done = minicri(tmp_path, "run", "-f", "net.yaml", "--runtime", containerd.address)
    assert done.returncode != 0
    assert "is no minicri and would ignore minicri.io/network='front'" in done.stderr + done.stdout
    assert containerd.contents() == []


def test_the_list_of_runtimes_shows_it(containerd: PrivateContainerd, tmp_path: Path) -> None:
    (tmp_path / "minicri.toml").write_text(f'[runtimes.remote]\naddress = "{containerd.address}"\n')
    done = minicri(tmp_path, "runtimes", "--config", "minicri.toml")
    row = next(line for line in done.stdout.splitlines() if line.startswith("remote"))
    assert row.split()[1] == "yes"
    assert f"at {containerd.address}" in row
