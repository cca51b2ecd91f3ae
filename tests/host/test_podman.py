"""A private Podman does what an engine does, and leaves the host as it was."""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.kit import free_port
from tests.host import libpod, netavark, podmans
from tests.host.errors import EngineError, Unavailable
from tests.host.images import BUSYBOX
from tests.host.leaks import Snapshot, wait_for_no_changes
from tests.host.podman import PrivatePodman, private_podman

REPO = Path(__file__).parents[2]
Ours = Callable[[str], bool]

HOLD_A_PUBLISHED_POD = """
import sys
from tests.host.podman import private_podman
from tests.host import podmans
from tests.host.test_podman import publish
with private_podman() as engine, podmans.busybox(engine):
    publish(engine.address, int(sys.argv[1]))
    print("left", flush=True)
    sys.stdin.read()
"""


def publish(address: str, port: int) -> None:
    """A pod on a network of its own, with a web server behind the host's `port`."""
    podmans.call(address, "POST", "/networks/create", body={"name": f"net-{port}", "dns_enabled": True})
    pod = {
        "name": f"pod-{port}",
        "infra_image": BUSYBOX,
        "infra_command": ["httpd", "-f", "-h", "/etc"],
        "netns": {"nsmode": "bridge"},
        "networks": {f"net-{port}": {}},
        "portmappings": [{"container_port": 80, "host_port": port}],
    }
    made = podmans.call(address, "POST", "/pods/create", body=pod)
    podmans.call(address, "POST", f"/pods/{made['Id']}/start")


@pytest.fixture
def before(root: None, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """The host before the test; no service is found in it, so that a private one is started."""
    monkeypatch.setenv("CONTAINER_HOST", "")
    monkeypatch.setattr(podmans, "SOCKET", Path("/nowhere"))
    return Snapshot.take()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Ours:
    """What the engines of this test have in their names: others may work on this host at the same time."""
    base = Path("/var/tmp") / f"minicri-own-{os.getpid()}"
    monkeypatch.setenv("TEST_HOST_DIR", str(base))
    pattern = re.compile(rf"{base}|dnat name: net-\d+")
    return lambda line: pattern.search(line) is not None


@pytest.fixture
def engine(before: Snapshot, own: Ours) -> Iterator[PrivatePodman]:
    try:
        with private_podman() as engine, podmans.busybox(engine):
            yield engine
    except Unavailable as error:
        pytest.skip(str(error))


def test_a_published_port_answers(engine: PrivatePodman) -> None:
    port = free_port()
    publish(engine.address, port)
    assert fetched(f"http://127.0.0.1:{port}/passwd").startswith(b"root:")


def fetched(url: str) -> bytes:
    """The page, asked for until the server in the container listens, which nothing tells."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                return bytes(page.read())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_pods_live_on_while_the_service_is_away(engine: PrivatePodman) -> None:
    publish(engine.address, free_port())
    engine.kill()
    with pytest.raises((EngineError, OSError)):
        podmans.contents(engine.address)
    engine.restart()
    assert "Running" in podmans.contents(engine.address)[0]


def test_nothing_is_left_by_an_engine_that_goes_with_its_pods(before: Snapshot, own: Ours) -> None:
    with private_podman() as engine, podmans.busybox(engine):
        publish(engine.address, free_port())
    assert wait_for_no_changes(before, own) == []


def test_nothing_is_left_by_a_run_that_was_killed(before: Snapshot, own: Ours) -> None:
    command = [sys.executable, "-c", HOLD_A_PUBLISHED_POD, str(free_port())]
    with subprocess.Popen(command, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"left\n"
        run.send_signal(signal.SIGKILL)
    assert wait_for_no_changes(before, own) == []


def test_two_engines_do_not_disturb_each_other(engine: PrivatePodman) -> None:
    with private_podman() as other, podmans.busybox(other):
        publish(engine.address, free_port())
        publish(other.address, free_port())
    assert "Running" in podmans.contents(engine.address)[0]


def test_the_command_finds_the_service_in_its_environment(before: Snapshot, own: Ours) -> None:
    look = f"podmans.call(os.environ['CONTAINER_HOST'], 'GET', '/images/{BUSYBOX}/json')['Os']"
    script = f"import os; from tests.host import podmans; print({look})"
    runner = [sys.executable, "-m", "tests.host", "--podman", "--", sys.executable, "-c", script]
    done = subprocess.run(runner, cwd=REPO, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "linux\n"), done.stderr


def test_an_engine_that_was_named_and_is_away_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_HOST", "unix:///nowhere.sock")
    with pytest.raises(Unavailable, match="CONTAINER_HOST"), podmans.podman_engine():
        pass


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("-A POSTROUTING -s 10.9.0.0/24 -j NETAVARK-AB", True),
        ("-A NETAVARK-DN-AB -p tcp --dport 80 -j DNAT --to-destination 10.9.0.2:80", True),
        ("-A NETAVARK_FORWARD -s fd00:9::/64 -j ACCEPT", True),
        ("-A POSTROUTING -s 10.8.0.0/24 -j NETAVARK-CD", False),
        ("-N NETAVARK-AB", False),
    ],
)
def test_a_rule_is_ours_by_its_addresses(rule: str, expected: bool) -> None:
    subnets = (ipaddress.ip_network("10.9.0.0/24"), ipaddress.ip_network("fd00:9::/64"))
    assert netavark._is_about(rule, subnets) is expected


def test_a_namespace_that_a_killed_podman_never_noted_goes_with_the_last(before: Snapshot, own: Ours) -> None:
    if libpod._USERS_OWN.exists():
        pytest.skip("the user has a Podman, whose it may be")
    with private_podman() as engine, podmans.busybox(engine):
        left = Path("/run/netns/netns-00000000-0000-4000-8000-000000000000")
        left.parent.mkdir(exist_ok=True)
        left.touch()
        subprocess.run(["unshare", f"--net={left}", "true"], check=True)
        assert os.path.ismount(left)
    assert not left.exists()
