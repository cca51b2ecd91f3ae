"""The demo on real engines; ``make demo`` runs it on native, and ``tests/orchestrator`` on the fake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.engines import EXAMPLES, Configured
from tests.orchestrator.commands import PATIENCE, environment


def demo(engine: Configured, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    variables = {**engine.variables, "MINICRI_CONFIG": str(engine.file), **more}
    return subprocess.run(
        [sys.executable, EXAMPLES / "demo.py", *arguments],
        cwd=engine.folder,
        env=environment(engine.folder, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("name", ["docker", "podman", "native"])
def test_the_demo_tells_the_story_and_leaves_nothing(
    name: str, short_folder: Path, backend_settings: Callable[[str], dict[str, object]]
) -> None:
    done = demo(Configured(short_folder, name, backend_settings(name)), name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("<h1>Hello from minicri</h1>") == 2
    assert "gave up after 2 restarts" in done.stdout
    assert "Nothing is left: no container, no sandbox" in done.stdout


def test_where_no_engine_answers_the_demo_runs_on_the_native_one_and_says_why(
    short_folder: Path, backend_settings: Callable[[str], dict[str, object]]
) -> None:
    engine = Configured(short_folder, "native", backend_settings("native"))
    nowhere = {name: f"unix://{short_folder}/no-{name}.sock" for name in ("DOCKER_HOST", "CONTAINER_HOST")}
    done = demo(engine, **nowhere)
    assert done.returncode == 0, done.stderr
    (chosen,) = (line for line in done.stdout.splitlines() if line.startswith("==> Engine: "))
    assert chosen.startswith("==> Engine: native (")
    assert "not docker: " in chosen
    assert "not podman: " in chosen
    assert "Nothing is left: no container, no sandbox" in done.stdout
