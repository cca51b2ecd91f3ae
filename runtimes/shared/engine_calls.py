"""Calls of an SDK that blocks: in a bounded pool of threads, each with a deadline, dead connections tried once more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import requests

from cri.errors import CRIError, Unavailable
from runtimes.shared.engine_peer import EnginePeer

R = TypeVar("R")


class EngineCalls:
    """``translate`` makes the contract's error of what the SDK raised; it raises what is no failure of the engine.
    It is told the seconds that the call had."""

    def __init__(
        self, peer: EnginePeer, threads: int, translate: Callable[[Exception, float], CRIError], *, name: str
    ) -> None:
        self._peer = peer
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._translate = translate
        self._closed = False

    def close(self) -> None:
        """Take no more calls and let the threads end. Calls under way end on their own, unheard."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, seconds: float, work: Callable[[float], R]) -> R:
        """``work(seconds_left)`` in a thread; at most ``seconds``, waiting for a thread included. Raises CRIError."""
        if self._closed:
            raise Unavailable("this runtime was closed")
        deadline = time.monotonic() + seconds

        def left() -> float:
            return max(0.001, deadline - time.monotonic())

        def run() -> R:
            try:
                return work(left())
            except OSError as error:
                if not _is_stale(error):
                    raise
                return work(left())

        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, run)
        except TimeoutError as error:
            raise self._peer.timed_out(seconds) from error
        except CRIError:
            raise
        except Exception as error:
            raise self._translate(error, seconds) from error


def _is_stale(error: OSError) -> bool:
    """Whether a pooled connection turned out dead: the engine closed it before it read a request that is safe to
    send again. A refused connection is not stale, it is an engine that is away."""
    failed = next(
        (each for each in (error, error.__cause__) if isinstance(each, requests.exceptions.ConnectionError)), None
    )
    if failed is None:
        return False
    closed = any(
        isinstance(inner, ConnectionResetError | BrokenPipeError | ConnectionAbortedError)
        for arg in failed.args
        for inner in (arg, *getattr(arg, "args", ()))
    )
    return closed and failed.request is not None and failed.request.method in ("GET", "HEAD")
