"""A private containerd does what an engine does, and leaves the host as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cri.sync
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import free_port
from tests.host.containerd import PrivateContainerd, private_containerd
from tests.host.errors import EngineError, Unavailable
from tests.host.images import BUSYBOX
from tests.host.leaks import Snapshot, wait_for_no_changes

REPO = Path(__file__).parents[2]
Ours = Callable[[str], bool]

HOLD_A_PUBLISHED_POD = """
import sys
from tests.host.containerd import private_containerd
from tests.host.test_containerd import serve_a_page
with private_containerd() as engine:
    serve_a_page(engine, port=int(sys.argv[1]))
    print(engine.bridge, flush=True)
    sys.stdin.read()
"""


def serve_a_page(engine: PrivateContainerd, port: int) -> str:
    """A pod whose web server is published on the host's `port`; the sandbox's id."""
    config = v1.PodSandboxConfig(
        metadata=v1.PodSandboxMetadata(name="page", namespace="test", uid="1"),
        port_mappings=[v1.PortMapping(container_port=80, host_port=port)],
    )
    container = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="httpd"),
        image=v1.ImageSpec(image=BUSYBOX),
        command=["httpd", "-f", "-h", "/etc"],
    )
    with cri.sync.open(engine.address) as runtime:
        sandbox_id = runtime.run_pod_sandbox(v1.RunPodSandboxRequest(config=config)).pod_sandbox_id
        request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=container, sandbox_config=config)
        container_id = runtime.create_container(request).container_id
        runtime.start_container(v1.StartContainerRequest(container_id=container_id))
    return sandbox_id


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def before(root: None) -> Snapshot:
    return Snapshot.take()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Ours:
    """What the engines of this test have in their names: others may work on this host at the same time."""
    base = Path("/var/tmp") / f"minicri-own-{os.getpid()}"
    monkeypatch.setenv("TEST_HOST_DIR", str(base))
    return lambda line: str(base) in line or "sysctls" in line


@pytest.fixture
def engine(before: Snapshot, own: Ours) -> Iterator[PrivateContainerd]:
    try:
        with private_containerd() as engine:
            yield engine
            bridge = engine.bridge
    except Unavailable as error:
        pytest.skip(str(error))
    assert wait_for_no_changes(before, own) == []
    assert published(bridge) == []


def published(bridge: str) -> list[str]:
    """The firewall's rules for published ports of pods on the bridge."""
    return [line for line in Snapshot.take().firewall if f'name: \\"{bridge}\\"' in line]


def test_a_published_port_answers_on_the_host(engine: PrivateContainerd, port: int) -> None:
    serve_a_page(engine, port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/group", timeout=10) as answer:
        assert answer.read().startswith(b"root:x:0:")


def test_a_restart_keeps_sandboxes_and_containers_running(engine: PrivateContainerd, port: int) -> None:
    serve_a_page(engine, port)
    contents, pid = engine.contents(), engine.pid
    engine.restart()
    assert engine.pid != pid
    assert engine.contents() == contents
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/group", timeout=10) as answer:
        assert answer.status == 200


def test_a_killed_containerd_starts_again_on_its_data(engine: PrivateContainerd, port: int) -> None:
    serve_a_page(engine, port)
    contents = engine.contents()
    engine.kill()
    engine.start()
    assert engine.contents() == contents


def test_a_containerd_that_cannot_start_says_why(engine: PrivateContainerd) -> None:
    engine.stop()
    (engine.log.parent / "containerd").rename(engine.log.parent / "away")
    (engine.log.parent / "containerd").write_text("in the way")
    with pytest.raises(EngineError, match=r"(?s)containerd ended with status 1\n.*/containerd\b"):
        engine.start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_ended_by_a_signal_leaves_nothing(
    before: Snapshot, own: Ours, port: int, containerd: PrivateContainerd, number: signal.Signals
) -> None:
    """Not even its published port."""
    command = [sys.executable, "-c", HOLD_A_PUBLISHED_POD, str(port)]
    with subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        bridge = run.stdout.readline().strip()
        assert published(bridge)
        run.send_signal(number)
        run.wait(60)
    assert wait_for_no_changes(before, own) == []
    assert published(bridge) == []
