"""An engine and an orchestrator over it, new for each test, and where a command's process lives."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from orchestrator.control import Orchestrator
from tests.orchestrator.driving import orchestrating
from tests.orchestrator.engine import Engine


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def orchestrator(engine: Engine, tmp_path: Path) -> AsyncIterator[Orchestrator]:
    async with orchestrating(engine, tmp_path) as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="minicri-") as name:
        yield Path(name)


@pytest.fixture
def living(folder: Path) -> dict[str, str]:
    """The variables by which ``minicri up`` lives in ``folder``, and the commands find it there."""
    at = {"LISTEN": f"unix://{folder}/o.sock", "STATE": f"{folder}/state"}
    return {f"MINICRI_ORCHESTRATOR__{key}": value for key, value in at.items()}
