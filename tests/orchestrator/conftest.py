"""An engine and an orchestrator over it, new for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
