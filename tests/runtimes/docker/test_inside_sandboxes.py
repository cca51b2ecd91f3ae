"""What holds inside a sandbox on a real engine: its ports, names, namespaces, rights and cgroup."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from cri.errors import AlreadyExists
from cri.v1 import api_pb2 as v1
from runtimes.docker.runtime import DockerRuntime
from tests.conformance.kit import free_port
from tests.host.engines import DockerEngine
from tests.runtimes.docker import calls
from tests.runtimes.docker.conftest import RunSandbox
from tests.runtimes.docker.examples import linux
from tests.runtimes.pods import WITHIN


async def test_a_host_port_that_is_taken_is_an_error_that_says_so(
    run_sandbox: RunSandbox, docker_engine: DockerEngine
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        mapping = v1.PortMapping(container_port=80, host_port=port, host_ip="127.0.0.1")
        with pytest.raises(AlreadyExists, match=str(port)):
            await run_sandbox(port_mappings=[mapping])


async def test_a_published_port_reaches_the_container_and_is_free_after_the_stop(
    runtime: DockerRuntime, run_sandbox: RunSandbox
) -> None:
    port = free_port()
    mapping = v1.PortMapping(container_port=80, host_port=port, host_ip="127.0.0.1")
    sandbox_id = await run_sandbox(port_mappings=[mapping])
    await calls.start(runtime, sandbox_id, "sh", "-c", "while echo hello | nc -l -p 80; do :; done")
    assert await first_words("127.0.0.1", port) == b"hello\n"
    await calls.stop(runtime, sandbox_id)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the proxy's old connections may linger
        again.bind(("127.0.0.1", port))


async def first_words(host: str, port: int) -> bytes:
    """What a server says to whom connects, which may have to wait until it listens."""
    async with asyncio.timeout(WITHIN):
        while True:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                if words := await reader.read(64):
                    return words
            except ConnectionResetError:
                continue
            finally:
                writer.close()


async def test_hostname_dns_and_sysctls_hold_inside(
    run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    sandbox_id = await run_sandbox(
        hostname="web-0",
        dns_config=v1.DNSConfig(servers=["10.10.10.10"], searches=["shop.local"], options=["ndots:5"]),
        linux=v1.LinuxPodSandboxConfig(sysctls={"net.ipv4.ip_unprivileged_port_start": "42"}),
    )
    seen = calls.output(
        engine_client, sandbox_id, "sh", "-c",
        "hostname; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /etc/resolv.conf",
    ).splitlines()  # fmt: skip
    assert seen[:2] == ["web-0", "42"]
    told = {line for line in seen[2:] if line and not line.startswith("#")}
    assert told == {"nameserver 10.10.10.10", "search shop.local", "options ndots:5"}


async def test_the_sandboxs_process_has_no_rights(run_sandbox: RunSandbox, engine_client: docker.DockerClient) -> None:
    sandbox_id = await run_sandbox()
    process = calls.pause_process(engine_client, sandbox_id)
    status = dict(line.split(":\t") for line in (process / "status").read_text().splitlines())
    assert status["CapEff"].strip("0") == ""
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split() == ["65535"] * 4


async def test_namespaces_of_the_node_are_the_nodes(
    run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    options = v1.NamespaceOption(network=v1.NODE, pid=v1.NODE, ipc=v1.NODE)
    shared = calls.pause_process(engine_client, await run_sandbox("shared", linux=linux(namespace_options=options)))
    own = calls.pause_process(engine_client, await run_sandbox("own"))
    for kind in ("net", "pid", "ipc"):
        of_node = os.readlink(f"/proc/self/ns/{kind}")
        assert os.readlink(shared / "ns" / kind) == of_node
        assert os.readlink(own / "ns" / kind) != of_node


@pytest.fixture
def cgroup_parent(engine_client: docker.DockerClient) -> Iterator[str]:
    """A path for the engine's cgroup driver. Whoever names a cgroup parent owns it: the engine leaves it behind."""
    parent = "/minicri-test.slice" if engine_client.info()["CgroupDriver"] == "systemd" else "/minicri-test"
    yield parent
    root = Path("/sys/fs/cgroup")
    for hierarchy in (root, *root.iterdir()):
        if (left := Path(f"{hierarchy}{parent}")).is_dir():
            left.rmdir()


async def test_a_sandbox_lives_in_its_cgroup_parent(
    cgroup_parent: str, runtime: DockerRuntime, run_sandbox: RunSandbox, engine_client: docker.DockerClient
) -> None:
    sandbox_id = await run_sandbox(linux=v1.LinuxPodSandboxConfig(cgroup_parent=cgroup_parent))
    groups = (calls.pause_process(engine_client, sandbox_id) / "cgroup").read_text().splitlines()
    await calls.remove(runtime, sandbox_id)
    assert any(f"{cgroup_parent}/" in line and sandbox_id in line for line in groups)
