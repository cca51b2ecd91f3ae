"""The example client in Node: the proto file is all that a program in another language needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.engines import Configured
from tests.orchestrator.commands import started

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/clients/node"
INSTALL_SECONDS = 90
RUN_SECONDS = 60


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its dependencies, in a folder of its own: nothing is installed into the tree."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no node or no npm on this host: install the packages nodejs and npm")
    folder = tmp_path_factory.mktemp("node")
    for file in ("package.json", "run.js"):
        shutil.copy(EXAMPLE / file, folder)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--cache", str(folder / "cache")]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm install did not end within {INSTALL_SECONDS} s: no package registry within reach")
    if done.returncode:
        pytest.skip(f"npm install failed: {done.stderr.strip().splitlines()[-1:]}")
    return folder


@pytest.fixture
def address(short_folder: Path) -> Iterator[str]:
    """A served fake."""
    engine = Configured(short_folder, "fake", {})
    where = f"unix://{short_folder}/cri.sock"
    with started(short_folder, "serve", "--config", str(engine.file), "--listen", where, ready=where):
        yield where


def run(client: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", "run.js", *arguments],
        cwd=client,
        env={**os.environ, "CRI_PROTO": str(ROOT / "proto/cri/v1/api.proto")},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )


def test_it_runs_a_container_and_hears_its_events(client: Path, address: str) -> None:
    done = run(client, address)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("fake ")
    assert "exec 0 hello from node" in lines
    assert "status CONTAINER_EXITED 137" in lines
    told = [line.split()[1] for line in lines if line.startswith("event ")]
    assert told.index("CONTAINER_STARTED_EVENT") < told.index("CONTAINER_STOPPED_EVENT")


def test_an_endpoint_that_is_not_there_is_said_in_a_line(client: Path, short_folder: Path) -> None:
    done = run(client, f"unix://{short_folder}/nobody.sock")
    assert done.returncode == 1
    assert done.stderr.startswith("error: 14 UNAVAILABLE: ")
    assert done.stderr.count("\n") == 1
