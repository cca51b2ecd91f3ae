"""Running ``minicri`` as a user does: a process of its own, in a folder of its own, configured by nobody else.

Most of these processes are forks of one that has made the imports; see ``tests.orchestrator.forked``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.orchestrator.forked import Forked

Stream = Literal["stdout", "stderr"]
MINICRI = (sys.executable, "-c", "from minicri import main; main()")
PATIENCE = 60.0
"""Seconds after which a command that should have ended has failed the test."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The variables of a user who lives in ``folder``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MINICRI_", "XDG_"))}
    here = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    root = str(Path(__file__).parents[2])
    return {**kept, **here, "PYTHONPATH": root, "COLUMNS": "200", "MINICRI_RUNTIME": "fake", **more}


def minicri(
    folder: Path, *arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` to its end."""
    with Forked(
        list(arguments),
        cwd=folder,
        env=environment(folder, **(env or {})),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(stdin or "", timeout=PATIENCE)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


def interpreted(
    folder: Path, *arguments: str, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The same from the interpreter's start on, imports included."""
    return subprocess.run(
        [*MINICRI, *arguments],
        cwd=folder,
        env=environment(folder, **(env or {})),
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@contextmanager
def started(
    folder: Path, *arguments: str, ready: str, env: Mapping[str, str] | None = None, on: Stream = "stderr"
) -> Iterator[subprocess.Popen[str]]:
    """A command that stays, from the moment it says ``ready``; SIGTERM ends it with the block."""
    process = Forked(
        list(arguments),
        cwd=folder,
        env=environment(folder, **(env or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        said = []
        for line in process.stdout if on == "stdout" else process.stderr:
            said.append(line)
            if ready in line:
                break
        else:
            raise AssertionError(f"minicri {arguments} ended before it was ready:\n{''.join(said)}")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
