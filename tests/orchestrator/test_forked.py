"""To a test a command that was forked is a process as any other."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.orchestrator.commands import PATIENCE, environment, interpreted, minicri
from tests.orchestrator.forked import Forked


@contextmanager
def serving(folder: Path, name: str = "cri") -> Iterator[subprocess.Popen[Any]]:
    """One that goes on until it is ended."""
    with Forked(
        ["serve", "--listen", f"unix://{folder}/{name}.sock"],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "INFO serving" in process.stderr.readline()
        try:
            yield process
        finally:
            process.kill()


def catches(pid: int, number: signal.Signals) -> bool:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigCgt"], 16) >> (number - 1) & 1)


@pytest.mark.parametrize(
    "arguments",
    ["version", "--help", "get --nonsense", "run -f nothing.yaml", "apply -f -", "config show", "runtimes -o json"],
)
def test_it_says_and_returns_what_one_does_that_was_not(arguments: str, folder: Path) -> None:
    away = {"DOCKER_HOST": f"unix://{folder}/none.sock", "CONTAINER_HOST": f"unix://{folder}/none.sock"}
    forked, other = (run(folder, *arguments.split(), stdin="name: [\n", env=away) for run in (minicri, interpreted))
    assert (forked.returncode, forked.stdout, forked.stderr) == (other.returncode, other.stdout, other.stderr)


def test_its_variables_are_its_own(tmp_path: Path) -> None:
    assert "MINICRI_LOG__LEVEL" in minicri(tmp_path, "config", "show", env={"MINICRI_LOG__LEVEL": "error"}).stdout
    assert "MINICRI_LOG__LEVEL" not in minicri(tmp_path, "config", "show").stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_the_signal_that_ended_it_is_told(number: signal.Signals, folder: Path) -> None:
    with serving(folder) as process:
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number
        assert process.poll() == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_hears_the_signals_that_it_is_to_hear(number: signal.Signals, folder: Path) -> None:
    with serving(folder) as process:
        while not catches(process.pid, number):  # it says that it serves a moment before it does
            time.sleep(0.001)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
        assert "INFO stopped serving" in said


def test_one_that_lives_has_no_exit_code(folder: Path) -> None:
    with serving(folder) as process:
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)


def test_its_number_is_nobody_elses_until_it_was_waited_for(folder: Path) -> None:
    with serving(folder) as process:
        process.kill()
        assert process.stderr is not None
        process.stderr.read()
        os.kill(process.pid, 0)
        process.wait(PATIENCE)
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, 0)


def test_others_do_not_hold_its_output_open(folder: Path) -> None:
    with serving(folder) as process, serving(folder, "other"):
        process.kill()
        assert process.stderr is not None
        process.stderr.read()
