"""A private host, and an engine on it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtimes.native.network import namespaces
from tests.host.fixtures import give_up
from tests.runtimes.native.network import host
from tests.runtimes.native.network.engine import Engine
from tests.runtimes.native.network.engine import engine as made_engine


@pytest.fixture
def private_host(request: pytest.FixtureRequest, root: None) -> Iterator[None]:
    for program, package in (("ip", "iproute2"), ("nft", "nftables")):
        if shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
            give_up(request, f"this test needs {program}: install {package}", "native")
    with host.private_host():
        yield


@pytest.fixture
async def engine(private_host: None, tmp_path: Path) -> AsyncIterator[Engine]:
    """Its default network is 10.99.0.0/24."""
    async with made_engine(tmp_path) as made:
        yield made


@pytest.fixture
async def outside(private_host: None, tmp_path: Path) -> AsyncIterator[Path]:
    """The network namespace of what is beyond the host, at ``host.OUTSIDE``."""
    directory = tmp_path / "outside"
    pinned = await namespaces.create(("net",), directory)
    try:
        with host.outside(pinned["net"]):
            yield pinned["net"]
    finally:
        namespaces.remove(directory)
