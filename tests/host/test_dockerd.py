"""A private dockerd does what an engine does, and leaves the host as it was."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.host import engines, names, processes
from tests.host.dockerd import PrivateDocker, private_docker
from tests.host.engines import DockerEngine
from tests.host.errors import EngineError, Unavailable
from tests.host.leaks import Snapshot, wait_for_no_changes

Ours = Callable[[str], bool]

REPO = Path(__file__).parents[2]
RUNNER = [sys.executable, "-m", "tests.host", "--"]
LEAVE_THINGS = """
import docker, sys, time
client = docker.from_env()
client.networks.create("left-behind")
ports = {"80/tcp": None}
client.containers.run("busybox", ["sleep", "1000"], detach=True, network="left-behind", ports=ports)
print("left", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def before(root: None, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """The host before the test; no engine is found in it, so that a private one is started."""
    monkeypatch.setenv("DOCKER_HOST", "")
    monkeypatch.setattr(engines, "SOCKETS", ())
    return Snapshot.take()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Ours:
    """What the engines of this test have in their names: others may work on this host at the same time."""
    base = Path("/var/tmp") / f"minicri-own-{os.getpid()}"
    monkeypatch.setenv("TEST_HOST_DIR", str(base))
    pattern = re.compile(rf"{base}|firewall|sysctls|docker-proxy|interfaces: br-")
    return lambda line: pattern.search(line) is not None


@pytest.fixture
def engine(before: Snapshot, own: Ours) -> Iterator[PrivateDocker]:
    try:
        with private_docker() as engine, engines.busybox(engine):
            yield engine
    except Unavailable as error:
        pytest.skip(str(error))
    assert wait_for_no_changes(before, own) == []


@pytest.fixture
def client(engine: PrivateDocker) -> Iterator[docker.DockerClient]:
    with contextlib.closing(engine.client()) as client:
        yield client


def test_containers_on_the_bridge_reach_each_other(client: docker.DockerClient) -> None:
    server = client.containers.run("busybox", ["httpd", "-f", "-h", "/etc"], detach=True)
    server.reload()
    address = server.attrs["NetworkSettings"]["IPAddress"]
    fetched = client.containers.run("busybox", ["wget", "-qO-", f"http://{address}/group"], remove=True)
    assert fetched.startswith(b"root:x:0:")


def test_a_published_port_answers_on_the_host(client: docker.DockerClient) -> None:
    ports = {"80/tcp": None}
    server = client.containers.run("busybox", ["httpd", "-f", "-h", "/etc"], detach=True, ports=ports)
    server.reload()
    port = server.attrs["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/group", timeout=10) as answer:
        assert answer.read().startswith(b"root:x:0:")


def test_names_resolve_on_a_network_of_the_users(client: docker.DockerClient) -> None:
    client.networks.create("named")
    client.containers.run("busybox", ["httpd", "-f", "-h", "/etc"], detach=True, network="named", name="server")
    command = ["wget", "-qO-", "http://server/group"]
    assert client.containers.run("busybox", command, remove=True, network="named").startswith(b"root:x:0:")


def test_the_engine_tells_that_a_container_was_killed_for_its_memory(client: docker.DockerClient) -> None:
    script = "until [ -e /eat ]; do sleep 0.05; done; exec tail /dev/zero"
    container = client.containers.run(
        "busybox", ["sh", "-c", script], mem_limit="64m", memswap_limit="64m", detach=True
    )
    container.exec_run(["touch", "/eat"])
    container.wait()
    container.reload()
    assert container.attrs["State"]["OOMKilled"]
    container.remove()


def test_a_restart_keeps_containers_and_images(engine: PrivateDocker, client: docker.DockerClient) -> None:
    made = client.containers.create("busybox", ["true"])
    pid = engine.pid
    engine.restart()
    assert engine.pid != pid
    assert [container.id for container in client.containers.list(all=True)] == [made.id]
    assert client.images.get("busybox")


def test_a_killed_dockerd_starts_again_on_its_data(engine: PrivateDocker, client: docker.DockerClient) -> None:
    made = client.containers.create("busybox", ["true"])
    engine.kill()
    engine.start()
    assert [container.id for container in client.containers.list(all=True)] == [made.id]


def test_a_kill_spares_who_has_the_number_of_its_containerd_by_now(engine: PrivateDocker) -> None:
    pidfile = engine.log.parent / "run/containerd/containerd.pid"
    with subprocess.Popen(["sleep", "600"]) as heir:
        pidfile.write_text(str(heir.pid))
        engine.kill()
        assert heir.poll() is None
        heir.kill()
    engine.start()


def test_with_live_restore_a_container_outlives_a_restart(live_restore_docker_engine: PrivateDocker) -> None:
    with contextlib.closing(live_restore_docker_engine.client()) as client:
        container = client.containers.run("busybox", ["sleep", "1000"], detach=True)
        container.reload()
        pid = container.attrs["State"]["Pid"]
        live_restore_docker_engine.restart()
        container.reload()
        assert container.attrs["State"]["Running"]
        assert container.attrs["State"]["Pid"] == pid


def test_a_dockerd_that_cannot_start_says_why(engine: PrivateDocker) -> None:
    engine.stop()
    (engine.log.parent / "docker").rename(engine.log.parent / "away")
    (engine.log.parent / "docker").write_text("in the way")
    with pytest.raises(EngineError, match=r"(?s)dockerd ended with status 1\n.*/docker\b"):
        engine.start()


def test_an_engine_of_somebody_elses_is_never_stopped(docker_engine: DockerEngine) -> None:
    theirs = engines.ExistingDocker(docker_engine.address)
    for verb in (theirs.stop, theirs.kill, theirs.start, theirs.restart):
        with pytest.raises(EngineError, match="it is not ours"):
            verb()
    with contextlib.closing(theirs.client()) as client:
        assert client.ping()


def test_a_docker_host_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(Unavailable, match=r"DOCKER_HOST=unix:///nowhere/docker\.sock does not answer"):
        engines.running_docker()


def test_the_runner_gives_its_command_an_engine_and_returns_its_status(before: Snapshot, own: Ours) -> None:
    done = subprocess.run(
        [*RUNNER, "sh", "-c", "test -S ${DOCKER_HOST#unix://} && exit 7"], cwd=REPO, timeout=60, check=False
    )
    assert done.returncode == 7
    assert wait_for_no_changes(before, own) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_runner_ended_by_a_signal_leaves_nothing(before: Snapshot, own: Ours, number: signal.Signals) -> None:
    with run_and_leave_things() as runner:
        runner.send_signal(number)
        runner.wait(60)
    assert wait_for_no_changes(before, own) == []


def test_what_a_run_left_whose_keeper_was_killed_too_goes_with_the_next_start(before: Snapshot, own: Ours) -> None:
    with run_and_leave_things() as runner:
        for keeper in keepers():
            os.kill(keeper, signal.SIGKILL)
        runner.kill()
        runner.wait(60)
    assert [left for left in Snapshot.take().changes_since(before) if "dockerd" in left and own(left)]
    subprocess.run([*RUNNER, "true"], cwd=REPO, timeout=60, check=True)
    assert wait_for_no_changes(before, own) == []


@contextlib.contextmanager
def run_and_leave_things() -> Iterator[subprocess.Popen[str]]:
    """A runner whose command has a network and a container, and waits."""
    command = [*RUNNER, sys.executable, "-c", LEAVE_THINGS]
    with subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "left\n"
        yield runner


def keepers() -> list[int]:
    wanted = f"TEST_HOST_DIR={names.base()}".encode()
    return [
        pid
        for pid in processes.pids()
        if "tests.host.keeper" in processes.command(pid) and wanted in processes.environment(pid)
    ]
