"""``python -m runtimes.native.rootless.launcher RUN MODULE ARGUMENT…``: run a module of ours in the user's namespaces,
which are made first if they are not there. Its answer is one line of JSON on stdout, its own or that of the module.

A program of its own, because only a process with one thread may do that.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

from cri.errors import CRIError
from runtimes.native.rootless import answers, holder
from runtimes.native.rootless.connection import answers_at

SERVER = "runtimes.native.rootless.server"


def main(run: Path, module: str, arguments: list[str]) -> None:
    lock = os.open(run / "launch", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    if module == SERVER and answers_at(run):
        answers.give({})
        return
    try:
        pid = holder.ensure(run)
    except (CRIError, OSError) as error:
        answers.fail(error)
        return
    if module != SERVER:
        os.close(lock)
    answer, say = os.pipe()
    log = os.open(run / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    holder.join(pid)
    if child := os.fork():
        os.close(say)
        with os.fdopen(answer, "rb") as words:
            sys.stdout.buffer.write(words.readline() or b'{"failed": "Unavailable", "message": "see the log in run"}\n')
        if module != SERVER:
            os.waitpid(child, 0)
        return
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for target, source in ((0, null), (1, say), (2, log)):
        os.dup2(source, target)
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
