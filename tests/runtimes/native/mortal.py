"""Work that dies at a chosen instruction, in a child of a child: nothing of it gets to clean up.

A module with such work has a `main` that calls `serve`; a test runs it by `mortal` and says with `die` when.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


def serve(work: Callable[[Path], Coroutine[Any, Any, None]], code: Path) -> None:
    """Read numbers from standard input. For each, a child does `work` in the directory that is the first argument, and
    kills itself when it comes to the line of that number in the files below `code`.

    Says `killed`, or `done` when there are no so many lines, or how it failed.
    """
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _trace(_kill_at(int(line), str(code)))
            asyncio.run(work(Path(sys.argv[1])))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        ended = os.waitstatus_to_exitcode(status)
        print({0: "done", -signal.SIGKILL: "killed"}.get(ended, f"failed with code {ended}"), flush=True)


@contextmanager
def mortal(module: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m module directory`, which serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def die(process: subprocess.Popen[str], number: int) -> str:
    """See `serve`."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{number}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def _trace(function: Callable[[FrameType, str, Any], Any]) -> None:
    threading.settrace(function)
    sys.settrace(function)


def _kill_at(number: int, code: str) -> Callable[[FrameType, str, Any], Any]:
    """A trace function."""
    lines = itertools.count(1)

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(code):
            return None
        if event == "line" and next(lines) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace
