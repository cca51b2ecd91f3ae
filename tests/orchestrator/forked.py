"""Commands without their second of imports: a process that has made them all forks for each command.

To a test ``Forked`` is the ``subprocess.Popen`` of a command: its arguments, folder, variables, limit of open files,
streams and signals are its own, ``kill -9`` included, and its number is nobody else's until it was waited for. Only
what an interpreter does before ``main()`` is not done anew: to import, and to read the variables named ``PYTHON…``.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_SERVER = "from tests.orchestrator import forked; forked.serve(); from minicri import main; main()"
_IMPORTED = (
    "cri.metrics cri.server cri.streaming.client cri.yaml_documents minicri.live minicri.metrics minicri.serving "
    "minicri.telling orchestrator.client orchestrator.control orchestrator.server runtimes.docker.runtime "
    "runtimes.fake.runtime runtimes.native.runtime runtimes.podman.runtime"
)
"""What most commands need, or what that needs; the rest is imported by those who need it."""
_LONGEST = 1 << 17
"""Bytes of a request. It is one datagram, so the kernel refuses a longer one as a whole."""


def serve() -> None:
    """Answer requests; return in each process that is to be a command, and in no other."""
    for name in _IMPORTED.split():
        import_module(name)
    gc.collect()
    gc.freeze()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is for the tests and the commands
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while True:
            told, streams, _, _ = socket.recv_fds(requests, _LONGEST, 3)
            if not told:
                sys.exit()  # nobody is left to ask
            request = json.loads(told)
            answer = os.waitpid(request["reap"], 0)[1] if "reap" in request else os.fork()
            if not answer and "reap" not in request:
                break
            for stream in streams:
                os.close(stream)
            requests.send(str(answer).encode())
    _become(streams, **request)


def _become(
    streams: Sequence[int], arguments: list[str], folder: str, variables: dict[str, str], files: tuple[int, int]
) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    sys.argv[1:] = arguments
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class _ForkServer:
    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Pipes, as most commands have: what its streams are is looked at when they are opened.
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVER, str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def ask(self, streams: Sequence[int] = (), **request: object) -> int:
        with self._asking:
            if streams:
                socket.send_fds(self._socket, [json.dumps(request).encode()], streams)
            else:
                self._socket.send(json.dumps(request).encode())
            answer = self._socket.recv(64)
        assert answer, "the fork server has ended"
        return int(answer)

    def _end(self) -> None:
        self._socket.close()
        self._process.communicate()


_fork_server = cache(_ForkServer)


class Forked(subprocess.Popen[Any]):
    """``Forked(["get", "-w"], cwd=…, env=…, stdout=…)``. Its parent is another process, which reaps it on our word."""

    def _execute_child(self, args: list[str], *given: Any) -> None:
        _executable, _preexec, _close, _pass, folder, variables, _info, _flags, _shell, *streams = given
        pipes = streams[:6]
        stdin, _, _, stdout, _, stderr = pipes
        try:
            self.pid = _fork_server().ask(
                [number if stream == -1 else stream for number, stream in enumerate((stdin, stdout, stderr))],
                arguments=args,
                folder=os.fspath(folder),
                variables=variables,
                files=resource.getrlimit(resource.RLIMIT_NOFILE),
            )
            self._ended = os.pidfd_open(self.pid)
            self._child_created = True
        finally:
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _try_wait(self, flags: int) -> tuple[int, int]:
        ended = select.poll()
        ended.register(self._ended, select.POLLIN)
        if not ended.poll(0 if flags & os.WNOHANG else None):
            return 0, 0
        os.close(self._ended)
        return self.pid, _fork_server().ask(reap=self.pid)

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        lock: threading.Lock = self._waitpid_lock  # type: ignore[attr-defined]
        if self.returncode is None and lock.acquire(blocking=False):
            try:
                pid, status = self._try_wait(os.WNOHANG) if self.returncode is None else (0, 0)
                if pid:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                lock.release()
        return self.returncode
