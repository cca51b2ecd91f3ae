"""Fixtures for tests that serve something."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme

from cri.tls import Tls


@pytest.fixture(autouse=True)
async def no_task_left(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """What a test began has ended with it."""
    yield
    if inspect.iscoroutinefunction(request.function):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:  # gRPC's own may be at its last words, when the answer is here already
            _, left = await asyncio.wait(left, timeout=60)
        assert left == set()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name; pytest's own may be too long for the kernel."""
    with tempfile.TemporaryDirectory(prefix="cri") as directory:
        yield Path(directory)


@pytest.fixture
def address(short_path: Path) -> str:
    return f"unix://{short_path}/x.sock"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def write_tls(directory: Path, issuer: trustme.CA, trusted: trustme.CA, *names: str) -> Tls:
    """Certificate and key for ``names`` from ``issuer``, and the authority to trust, as files in ``directory``."""
    directory.mkdir(exist_ok=True)
    issued = issuer.issue_cert(*names)
    files = Tls(cert=directory / "cert.pem", key=directory / "key.pem", ca=directory / "ca.pem")
    issued.private_key_pem.write_to_path(str(files.key))
    trusted.cert_pem.write_to_path(str(files.ca))
    files.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return files


@pytest.fixture
def tls(tmp_path: Path, authority: trustme.CA) -> Tls:
    """Both sides' half: a certificate for this machine, from an authority that both trust."""
    return write_tls(tmp_path / "tls", authority, authority, "127.0.0.1", "localhost", "::1")
