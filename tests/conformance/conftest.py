"""Where the suite runs: backends and ways to reach them, options for a runtime of somebody else's, and the kit."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import cri
from cri.errors import Unimplemented
from cri.runtime import Runtime
from tests.conformance import differences
from tests.conformance.kit import WITHIN, Kit
from tests.conformance.places import Place, place_of, places


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runtime", metavar="NAME|ADDRESS", help="run the conformance suite on this runtime only")
    parser.addoption(
        "--runtime-option", action="append", default=[], metavar="KEY=VALUE", help="a field of that runtime's config"
    )
    parser.addoption(
        "--runtime-without", action="append", default=[], metavar="FEATURE", help="what it lacks, such as kernel"
    )
    parser.addoption("--runtime-image", default="busybox", metavar="IMAGE", help="an image with busybox in it")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "optional(feature): skips where the runtime answers UNIMPLEMENTED")
    config.addinivalue_line("markers", "needs(feature): skips where differences.py says that the backend lacks it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" in metafunc.fixturenames:
        metafunc.parametrize("place", places(metafunc.config), ids=str, scope="module")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for each module: sandboxes and runtimes live as long."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)
            place = place_of(item)
            if place is not None and place.is_ours and (why := differences.of_test(place.backend, item.originalname)):
                item.add_marker(pytest.mark.skip(reason=why))
            for marker in item.iter_markers("needs"):
                if place is not None and (reason := place.known_to_lack(marker.args[0])):
                    item.add_marker(pytest.mark.skip(reason=f"{place.backend}: {reason}"))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """UNIMPLEMENTED in a test of an optional feature is a skip where the table allows it."""
    try:
        return (yield)
    except Unimplemented as error:
        marker = pyfuncitem.get_closest_marker("optional")
        place = place_of(pyfuncitem)
        if marker is not None and place is not None and place.lacks(marker.args[0]):
            pytest.skip(f"{place.backend}: {error.message}")
        raise


@pytest.fixture(scope="module")
def options(place: Place, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The backend's config, with its engine started. Skips or fails, as the run wants it, where there is none."""
    if place.options is not None:
        return place.options
    settings: dict[str, Any] = request.getfixturevalue("backend_settings")(place.backend)
    return settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def no_task_left() -> AsyncIterator[None]:
    """What a runtime, a server or a client began has ended with it."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        await asyncio.wait(left, timeout=WITHIN)
    assert [task for task in left if task is not None and not task.done()] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(no_task_left: None, place: Place, options: dict[str, Any]) -> AsyncIterator[Runtime]:
    """The runtime itself."""
    async with cri.open(place.backend, **options) as runtime:
        yield runtime


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runtime(place: Place, backend: Runtime) -> AsyncIterator[Runtime]:
    """The runtime as the test reaches it."""
    if place.access == "direct":
        yield backend
        return
    with tempfile.TemporaryDirectory(prefix="cri") as directory:  # pytest's own path may be too long for a socket
        address = f"unix://{directory}/cri.sock"
        async with cri.serve(backend, address, grace=2), cri.connect(address) as client:
            yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    runtime: Runtime, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Kit]:
    """A kit whose things last for the module; nothing that any test of the module made may be left at its end."""
    image = request.config.getoption("--runtime-image", default="busybox")
    kit = Kit(runtime, image, tmp_path_factory.mktemp("logs"))
    async with kit:
        await kit.have_image()
        yield kit
    assert await kit.left() == []


@pytest_asyncio.fixture(loop_scope="module")
async def kit(shared: Kit) -> AsyncIterator[Kit]:
    """A kit whose things go with the test."""
    async with shared.for_one_test() as own:
        yield own


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(shared: Kit) -> str:
    """A sandbox for all tests of the module: only for those that leave it as it was."""
    return await shared.sandbox()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(shared: Kit, sandbox: str) -> str:
    """A running container for all tests of the module: only for those that leave it as it was."""
    return await shared.run(sandbox)
