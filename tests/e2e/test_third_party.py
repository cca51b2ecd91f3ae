"""A runtime in a package of somebody else's: installed beside minicri, seen by it, and held to the same contract."""

from __future__ import annotations

import json
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.orchestrator.commands import PATIENCE, environment

ROOT = Path(__file__).parents[2]
PACKAGE = Path(__file__).parent / "third_party/minicri-mine"
LACKING = ("kernel", "registry", "restart")
"""As the engine below it, the fake, does."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own that sees the packages of this one, with the package installed into it."""
    folder = tmp_path_factory.mktemp("third-party")
    venv.create(folder / "venv", with_pip=False)
    where = sysconfig.get_path("purelib", "venv", {"base": str(folder / "venv")})
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    Path(where, "beside.pth").write_text("\n".join(lines))
    source = shutil.copytree(PACKAGE, folder / "source")  # a build leaves its traces there
    interpreter = folder / "venv/bin/python"
    install = ("install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--no-cache-dir", str(source))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(interpreter), *install]
    done = subprocess.run(pip, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return interpreter


def run(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=PATIENCE
    )


def minicri(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(python, folder, "-c", "from minicri import main; main()", *arguments)


def test_an_installed_runtime_is_listed(python: Path, tmp_path: Path) -> None:
    done = minicri(python, tmp_path, "runtimes", "-o", "json")
    assert done.returncode == 0, done.stderr
    (found,) = [each for each in json.loads(done.stdout) if each["name"] == "mine"]
    assert (found["available"], found["detail"]) == (True, "over fake")


def test_an_installed_runtime_runs_a_task(python: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples/batch.yaml", tmp_path)
    done = minicri(python, tmp_path, "run", "-f", "batch.yaml", "--runtime", "mine")
    assert done.returncode == 3, done.stderr
    assert "count | counting 3" in done.stdout


def test_its_settings_are_checked_with_the_others(python: Path, tmp_path: Path) -> None:
    (tmp_path / "minicri.toml").write_text('[runtimes.mine]\nengin = "docker"\n')
    done = minicri(python, tmp_path, "config", "show")
    assert done.returncode == 2
    assert "runtimes.mine.engin" in done.stderr
    assert "engine" in done.stderr


@pytest.mark.parametrize("module", ["status", "idempotence", "events", "streaming"])
def test_it_passes_the_conformance_suite(python: Path, tmp_path: Path, module: str) -> None:
    without = [word for feature in LACKING for word in ("--runtime-without", feature)]
    suite = f"tests/conformance/test_{module}.py"
    options = ("-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "pytest"))
    done = run(python, ROOT, "-m", "pytest", suite, "--runtime", "mine", *without, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
