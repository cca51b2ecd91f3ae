"""A real OCI runtime for the tests that try a container's config."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.fixtures import missing
from tests.runtimes.native.oci.bench import Bench, bench


@pytest.fixture
def crun(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A directory in which crun runs one container."""
    with missing(request, "native"), bench(tmp_path, "crun") as made:
        yield made


@pytest.fixture(params=["crun", "runc"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """The same of each runtime: what a config says must not depend on who reads it."""
    with missing(request, "native"), bench(tmp_path, request.param) as made:
        yield made
