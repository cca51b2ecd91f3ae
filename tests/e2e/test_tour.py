"""The README's tour, every line of it, on real engines."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.engines import Configured
from tests.orchestrator.commands import PATIENCE, environment, started

ROOT = Path(__file__).parents[2]
PROMPT = "$ "


def tour() -> list[str]:
    section = (ROOT / "README.md").read_text().partition("## A two-minute tour")[2].partition("\n## ")[0]
    return [line.removeprefix(PROMPT) for line in section.splitlines() if line.startswith(PROMPT)]


def exit_code(line: str) -> int:
    """What the line says of itself."""
    said = re.search(r"# exits with (\d+)", line)
    return int(said[1]) if said else 0


@pytest.mark.parametrize("place", ["docker", "podman", "native"])
def test_every_line_of_the_tour_does_what_it_says(
    place: str, short_folder: Path, backend_settings: Callable[[str], dict[str, object]]
) -> None:
    engine = Configured(short_folder, place, backend_settings(place))
    (short_folder / "examples").symlink_to(ROOT / "examples")
    env = {
        **engine.variables,
        "MINICRI_CONFIG": str(engine.file),
        "MINICRI_ORCHESTRATOR__LISTEN": f"unix://{short_folder}/o.sock",
        "MINICRI_ORCHESTRATOR__STATE": str(short_folder / "state"),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    up, *lines = tour()
    assert up == "minicri up &"
    said = {}
    with started(short_folder, "up", ready="serving", env=env):
        for line in [*lines, "minicri get -o json"]:
            ended = subprocess.run(
                ["sh", "-c", line],
                cwd=short_folder,
                env=environment(short_folder, **env),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            assert ended.returncode == exit_code(line), f"{line}: {ended.stdout}{ended.stderr}"
            said[line.partition("#")[0].strip()] = ended.stdout
    assert "hello from hello-0" in said["minicri exec hello-0 -- wget -q -O - http://127.0.0.1/"]
    assert said["minicri logs -f count"].endswith("counting 3\n")
    assert "Running" in said["minicri events hello-1"]
    assert said["minicri get -o json"].strip() == "[]"
