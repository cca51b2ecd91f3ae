"""The contract for scripts: the same methods as ``cri.Runtime`` without ``await``.

::

    with cri.sync.open("docker") as runtime:
        print(runtime.version(v1.VersionRequest()).runtime_version)
        with contextlib.closing(runtime.get_container_events(v1.GetEventsRequest())) as events:
            for event in events: ...

The methods are made from the table of RPCs, their types stand in the generated ``sync.pyi``. The asynchronous runtime
lives in one private thread with its own event loop; a call hands its work over and waits. Ctrl-C while waiting cancels
the work, waits for its clean-up and then raises KeyboardInterrupt. A stream is a generator: it ends when it is closed
or dropped. Inside a running event loop the façade would stand still, and refuses to open.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeVar

from cri import opening
from cri import runtime as contract
from cri.rpc import RPCS, Rpc

_T = TypeVar("_T")

_END = object()


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="cri.sync")
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()

    @property
    def closed(self) -> bool:
        return self._loop.is_closed()

    def call(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What ``work`` returns. The caller's context variables hold inside it, pull progress for instance."""
        answer: Future[_T] = Future()
        begun: list[asyncio.Task[_T]] = []

        def begin() -> None:
            begun.append(self._loop.create_task(work))
            begun[0].add_done_callback(lambda task: _settle(answer, task))

        def end() -> None:
            if begun:
                begun[0].cancel()
            else:  # interrupted before it was handed over
                work.close()
                _cancel(answer)

        try:
            self._loop.call_soon_threadsafe(begin)
            return answer.result()
        except BaseException:
            if not answer.done():  # Ctrl-C: the work must not outlive the call
                self._loop.call_soon_threadsafe(end)
                wait([answer])
            raise

    def close(self) -> None:
        """End the thread; what still runs in it is cancelled and cleaned up first."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


def _settle(answer: Future[_T], task: asyncio.Task[_T]) -> None:
    if task.cancelled():
        _cancel(answer)
    elif (error := task.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(task.result())


def _cancel(answer: Future[_T]) -> None:
    answer.cancel()
    answer.set_running_or_notify_cancel()  # wakes who waits


class Runtime:
    """``cri.Runtime`` for callers without an event loop. Made by ``open``."""

    def __init__(self, runtime: contract.Runtime, loop: _Loop) -> None:
        self._runtime = runtime
        self._loop = loop

    def __init_subclass__(cls, **kwargs: object) -> None:
        raise TypeError("cri.sync.Runtime is a façade; subclass cri.Runtime")


def _unary(rpc: Rpc) -> Callable[..., Any]:
    def method(self: Runtime, request: Any) -> Any:
        return self._loop.call(getattr(self._runtime, rpc.attribute)(request))

    return method


def _stream(rpc: Rpc) -> Callable[..., Any]:
    def method(self: Runtime, request: Any) -> Generator[Any, None, None]:
        responses = getattr(self._runtime, rpc.attribute)(request)

        async def step() -> Any:
            return await anext(responses, _END)

        async def close() -> None:
            if hasattr(responses, "aclose"):
                await responses.aclose()

        try:
            while (response := self._loop.call(step())) is not _END:
                yield response
        finally:
            if not self._loop.closed:  # else the end of the loop has closed it
                self._loop.call(close())

    return method


for _rpc in RPCS:
    _method = _stream(_rpc) if _rpc.streaming else _unary(_rpc)
    _method.__name__ = _rpc.attribute
    _method.__qualname__ = f"Runtime.{_rpc.attribute}"
    _method.__doc__ = getattr(contract.Runtime, _rpc.attribute).__doc__
    setattr(Runtime, _rpc.attribute, _method)


@contextmanager
def open(  # noqa: A001 - read as cri.sync.open
    runtime: str = opening.AUTO, /, *, runtimes: opening.Sections | None = None, **options: Any
) -> Iterator[Runtime]:
    """``cri.open`` without ``await``: a runtime by name, by address, or ``auto``; same arguments, same errors.

    ::

        with cri.sync.open("unix:///run/containerd/containerd.sock") as runtime:
            images = runtime.list_images(v1.ListImagesRequest()).images
    """
    if _inside_a_loop():
        raise RuntimeError("cri.sync.open would block the running event loop; use 'async with cri.open(...)' there")
    with ExitStack() as stack:
        loop = stack.enter_context(closing(_Loop()))
        block = opening.open(runtime, runtimes=runtimes, **options)
        opened = loop.call(block.__aenter__())
        stack.push(lambda kind, error, trace: loop.call(block.__aexit__(kind, error, trace)))
        yield Runtime(opened, loop)


def _inside_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
