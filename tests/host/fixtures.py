"""The pytest plugin: fixtures for real engines, the option --backend, and what must not be left at the end.

Nothing starts before a test asks for it. A test whose engine or tool is missing skips, and says why in a
line; `--backend NAME` turns that skip into a failure for the tests of backend NAME.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import NoReturn

import pytest

from tests.host import engines, images, native, podmans, registry
from tests.host.containerd import PrivateContainerd, private_containerd
from tests.host.dockerd import PrivateDocker, private_docker
from tests.host.engines import DockerEngine
from tests.host.errors import Unavailable
from tests.host.leaks import engine_contents
from tests.host.podman import private_podman
from tests.host.podmans import PodmanEngine
from tests.host.registry import Registry

BACKENDS = ("fake", "docker", "podman", "remote", "native")
TASK_GRACE = 60.0
"""Seconds that tasks get to end by themselves after a test and its fixtures."""
THREAD_GRACE = 60.0
"""And threads after the last of all."""

LONG = ("tests/e2e/", "tests/orchestrator/test_interleavings.py")
"""Where a few tests take long. Groups are begun in the order of their tests, and these first: at the end of a parallel
run one process would be busy with the last of them, and the others with nothing."""

Settings = dict[str, object]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        default=[],
        choices=BACKENDS,
        help="a backend whose tests must run: where its engine is missing they fail, not skip (repeatable)",
    )


def pytest_configure() -> None:
    """A run that was started in the background ignores SIGINT, and so would every program that a test starts."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    sizes = Counter(map(_group, items))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "no_leftover_tasks")
    if hasattr(config, "workerinput"):  # in a process of a parallel run; else the order of the files is the better one
        items.sort(key=lambda item: (not item.nodeid.startswith(LONG), -sizes[_group(item)], _group(item)))


def _group(item: pytest.Item) -> str:
    """What stays in one process of a parallel run: a file, and of the conformance suite a file on one backend."""
    place = getattr(item, "callspec", None) and item.callspec.params.get("place")  # type: ignore[attr-defined]
    file = item.nodeid.partition("::")[0]
    return f"{file}-{place}" if place else file


@pytest.fixture(scope="session")
def docker_engine(request: pytest.FixtureRequest) -> Iterator[DockerEngine]:
    """The Docker engine of this run, with the busybox image in it: the host's own, or else a private one."""
    with missing(request, "docker"), contextlib.ExitStack() as stack:
        engine = stack.enter_context(engines.docker_engine())
        yield engine
        fail_on_leftovers(engine)


@pytest.fixture(scope="session")
def private_docker_engine(request: pytest.FixtureRequest, docker_engine: DockerEngine) -> Iterator[DockerEngine]:
    """An engine that a test may stop, kill and restart: `docker_engine` when that is ours, else a new one."""
    if docker_engine.private:
        yield docker_engine
        return
    with missing(request, "docker"), private_docker() as engine, engines.busybox(engine):
        yield engine
        fail_on_leftovers(engine)


@pytest.fixture
def live_restore_docker_engine(request: pytest.FixtureRequest) -> Iterator[PrivateDocker]:
    """A new private engine whose containers outlive a stop of dockerd."""
    with missing(request, "docker"), private_docker(live_restore=True) as engine, engines.busybox(engine):
        yield engine


@pytest.fixture
def experimental_docker_engine(request: pytest.FixtureRequest) -> Iterator[PrivateDocker]:
    """A new private engine with its experimental features."""
    with missing(request, "docker"), private_docker(experimental=True) as engine, engines.busybox(engine):
        yield engine


@pytest.fixture(scope="session")
def containerd(request: pytest.FixtureRequest) -> Iterator[PrivateContainerd]:
    """A private containerd with the busybox image in it. A test may stop, kill and restart it."""
    with missing(request, "remote"), private_containerd() as engine:
        yield engine
        engine.start()
        fail_on(engine.contents())


@pytest.fixture(scope="session")
def podman_engine(request: pytest.FixtureRequest) -> Iterator[PodmanEngine]:
    """The Podman service of this run, with the busybox image in it: the host's own, or else a private one."""
    with missing(request, "podman"), podmans.podman_engine() as engine:
        yield engine
        if engine.private:
            engine.start()
            fail_on(podmans.contents(engine.address))


@pytest.fixture(scope="session")
def private_podman_engine(request: pytest.FixtureRequest, podman_engine: PodmanEngine) -> Iterator[PodmanEngine]:
    """A service that a test may stop, kill and restart: `podman_engine` when that is ours, else a new one."""
    if podman_engine.private:
        yield podman_engine
        return
    with missing(request, "podman"), private_podman() as engine, podmans.busybox(engine):
        yield engine
        fail_on(podmans.contents(engine.address))


@pytest.fixture(scope="session")
def native_engine(request: pytest.FixtureRequest) -> Iterator[dict[str, object]]:
    """The configuration of a native engine of this run's own, with the busybox image in it."""
    with missing(request, "native"), native.private_native() as options:
        yield options
        fail_on(native.contents(options))


@pytest.fixture(scope="session")
def busybox_image(docker_engine: DockerEngine) -> str:
    """The reference of an image that is in `docker_engine` without a pull."""
    return images.BUSYBOX


@pytest.fixture(scope="session")
def local_registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """An empty registry on 127.0.0.1 that anyone may pull from; see `Registry.push`."""
    with missing(request), registry.local_registry() as running:
        yield running


@pytest.fixture(scope="session")
def login_registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """A registry that asks for `registry.USER` and `registry.PASSWORD`."""
    with missing(request), registry.local_registry(login=True) as running:
        yield running


@pytest.fixture(scope="session")
def root(request: pytest.FixtureRequest) -> None:
    """For tests that need to be root."""
    if os.geteuid() != 0:
        give_up(request, "this test needs root")


@pytest.fixture(scope="session")
def backend_settings(request: pytest.FixtureRequest) -> Callable[[str], Settings]:
    """`backend_settings("docker")` is the configuration of that backend, with its engine started."""

    def settings(name: str) -> Settings:
        match name:
            case "fake":
                return {}
            case "docker":
                engine: DockerEngine = request.getfixturevalue("docker_engine")
                return {"host": engine.address}
            case "podman":
                service: PodmanEngine = request.getfixturevalue("podman_engine")
                return {"host": service.address}
            case "remote":
                containerd: PrivateContainerd = request.getfixturevalue("containerd")
                return {"address": containerd.address}
            case "native":
                return dict(request.getfixturevalue("native_engine"))
            case _:
                give_up(request, f"no engine is set up for the tests of backend {name!r}", name)

    return settings


@contextlib.contextmanager
def missing(request: pytest.FixtureRequest, backend: str | None = None) -> Iterator[None]:
    """Turn Unavailable into a skip, or into a failure where the run insists on `backend`."""
    try:
        yield
    except Unavailable as error:
        give_up(request, str(error), backend)


def give_up(request: pytest.FixtureRequest, reason: str, backend: str | None = None) -> NoReturn:
    """Skip, or fail when the run insists on `backend`; with None, when it insists on any."""
    insisted: list[str] = request.config.getoption("--backend")
    if backend in insisted or (backend is None and insisted):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def fail_on_leftovers(engine: DockerEngine) -> None:
    """Fail, with a list, when the tests left something in an engine of our own."""
    if not engine.private:
        return
    engine.start()
    fail_on(engine_contents(engine))


def fail_on(left: Sequence[str]) -> None:
    if left:
        pytest.fail("the tests left in the engine:\n" + "\n".join(left), pytrace=False)


@pytest.fixture(scope="session", autouse=True)
def no_leftover_threads() -> Iterator[None]:
    """A thread that is not a daemon keeps the interpreter from ending, so none may outlive the session."""
    before = set(threading.enumerate())
    yield
    if left := threads_beside(before, THREAD_GRACE):
        pytest.fail("the tests left threads: " + ", ".join(map(str, left)), pytrace=False)


@pytest.fixture
async def no_leftover_tasks() -> AsyncIterator[None]:
    """Added to every asynchronous test, first, so that it looks after the test's other fixtures are gone."""
    yield
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=TASK_GRACE)
        if left:
            pytest.fail("the test left tasks: " + ", ".join(map(repr, left)), pytrace=False)


def threads_beside(before: set[threading.Thread], grace: float) -> list[threading.Thread]:
    """Those that were not there before and keep the interpreter from ending. ``grace``: seconds that they get to end: a
    runtime that is closed waits for no call under way."""
    added = [thread for thread in threading.enumerate() if thread not in before]
    keeping = [thread for thread in added if not thread.daemon and not thread.name.startswith("pytest_timeout")]
    deadline = time.monotonic() + grace
    for thread in keeping:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in keeping if thread.is_alive()]
