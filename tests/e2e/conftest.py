"""Each test of an engine runs on all of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.engines import ENGINES, Configured


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="minicri") as folder:
        yield Path(folder)


@pytest.fixture(params=ENGINES)
def engine(
    request: pytest.FixtureRequest, short_folder: Path, backend_settings: Callable[[str], dict[str, object]]
) -> Configured:
    """A configuration for each engine."""
    return Configured(short_folder, request.param, backend_settings(request.param))


@pytest.fixture
def docker(short_folder: Path, backend_settings: Callable[[str], dict[str, object]]) -> Configured:
    """A configuration for an engine that outlives the command."""
    return Configured(short_folder, "docker", backend_settings("docker"))
