"""What a newcomer reads and the demo, here on the fake; ``tests/e2e`` runs the other examples on every engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from manifests import manifest
from tests.orchestrator.commands import PATIENCE, environment
from tests.orchestrator.terminal import terminal

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMO = (sys.executable, str(EXAMPLES / "demo.py"), "fake")
MANIFESTS = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".yaml", ".json", ".toml"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_every_manifest_is_one(path: Path) -> None:
    assert manifest.read(str(path))


def test_the_same_batch_in_two_formats_is_the_same_but_for_one_default() -> None:
    batches = [manifest.read(str(EXAMPLES / f"batch.{form}")) for form in ("yaml", "toml")]
    assert batches[0] == batches[1]


def test_the_demo_tells_the_story_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        DEMO,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("<h1>Hello from minicri</h1>") == 2
    assert "count | counting 3\n" in done.stdout
    assert "gave up after 2 restarts" in done.stdout
    assert "Nothing is left: no container, no sandbox" in done.stdout
    assert "\x1b" not in done.stdout


def test_the_demo_at_a_terminal_shows_a_table_that_moves(tmp_path: Path) -> None:
    with terminal(tmp_path, program=DEMO) as screen:
        screen.wait_for("Nothing is left")
        assert screen.end() == 0
    assert screen.raw.count(b"\x1b[?25l") == screen.raw.count(b"\x1b[?25h") > 0
