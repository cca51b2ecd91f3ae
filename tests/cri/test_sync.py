"""The synchronous façade: the same contract for callers without an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cri
from cri import opening, progress
from cri.errors import InvalidArgument, NotFound
from cri.rpc import RPCS
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import Scripted, scripted


@contextlib.contextmanager
def opened(
    monkeypatch: pytest.MonkeyPatch, **answers: Callable[..., Any]
) -> Iterator[tuple[cri.sync.Runtime, Scripted]]:
    """The façade over a scripted runtime, opened the way a user opens one."""
    watched = scripted(**answers)

    @contextlib.asynccontextmanager
    async def open_watched(runtime: str, **options: object) -> AsyncIterator[Runtime]:
        async with watched:
            yield watched

    monkeypatch.setattr(opening, "open", open_watched)
    with cri.sync.open("watched") as facade:
        yield facade, watched


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "cri.sync"]


def test_a_unary_call_returns_the_response(monkeypatch: pytest.MonkeyPatch) -> None:
    async def version(request: v1.VersionRequest) -> v1.VersionResponse:
        return v1.VersionResponse(version=request.version)

    with opened(monkeypatch, version=version) as (runtime, _):
        assert runtime.version(v1.VersionRequest(version="v1")).version == "v1"


def test_an_error_keeps_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    async def status(request: object) -> v1.StatusResponse:
        raise NotFound("no", details={"a": "b"})

    with opened(monkeypatch, status=status) as (runtime, _), pytest.raises(NotFound) as failure:
        runtime.status(v1.StatusRequest())
    assert failure.value.details == {"a": "b"}


def test_the_end_of_the_block_closes_the_runtime_and_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(monkeypatch) as (_, watched):
        assert threads() == ["cri.sync"]
    assert watched.closed
    assert threads() == []


def test_an_error_in_the_block_closes_the_runtime_and_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError), opened(monkeypatch) as (_, watched):
        raise KeyError
    assert watched.closed
    assert threads() == []


def test_an_opening_that_fails_leaves_no_thread() -> None:
    with pytest.raises(InvalidArgument, match="not installed"), cri.sync.open("nothing-like-it"):
        pass
    assert threads() == []


class Events:
    """An endless stream that knows whether it was closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    async def __call__(self, request: object) -> AsyncIterator[v1.ContainerEventResponse]:
        try:
            for number in range(3):
                yield v1.ContainerEventResponse(container_id=str(number))
            await asyncio.Event().wait()
        finally:
            self.closed.set()


def test_a_stream_is_an_iterator_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def images(request: object) -> AsyncIterator[v1.StreamImagesResponse]:
        for name in "ab":
            yield v1.StreamImagesResponse(images=[v1.Image(id=name)])

    with opened(monkeypatch, stream_images=images) as (runtime, _):
        assert [page.images[0].id for page in runtime.stream_images(v1.StreamImagesRequest())] == ["a", "b"]


def test_closing_a_stream_closes_the_generator_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Events()
    with opened(monkeypatch, get_container_events=events) as (runtime, _):
        with contextlib.closing(runtime.get_container_events(v1.GetEventsRequest())) as stream:
            assert next(stream).container_id == "0"
        assert events.closed.is_set()


def test_leaving_the_loop_over_a_stream_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Events()
    with opened(monkeypatch, get_container_events=events) as (runtime, _):
        for event in runtime.get_container_events(v1.GetEventsRequest()):
            assert event.container_id == "0"
            break
        assert events.closed.wait(10)


def test_a_stream_that_outlives_its_runtime_was_closed_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Events()
    with opened(monkeypatch, get_container_events=events) as (runtime, _):
        stream = runtime.get_container_events(v1.GetEventsRequest())
        next(stream)
    assert events.closed.is_set()
    stream.close()


def test_pull_progress_reaches_the_listener_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pull_image(request: object) -> v1.PullImageResponse:
        progress.report(progress.Progress("busybox", "layer", "Downloading", 1, 2))
        return v1.PullImageResponse()

    heard: list[progress.Progress] = []
    with opened(monkeypatch, pull_image=pull_image) as (runtime, _), progress.listening(heard.append):
        runtime.pull_image(v1.PullImageRequest())
    assert [step.status for step in heard] == ["Downloading"]


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own answer to SIGINT, also in a process that was started in the background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_cancels_the_work_and_waits_for_its_cleanup(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[str] = []

    async def version(request: object) -> v1.VersionResponse:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            cleaned.append("yes")
        return v1.VersionResponse()

    with opened(monkeypatch, version=version) as (runtime, _):
        with pytest.raises(KeyboardInterrupt):
            runtime.version(v1.VersionRequest())
        assert cleaned == ["yes"]
        assert runtime.status(v1.StatusRequest()) == v1.StatusResponse()


def test_ctrl_c_before_the_work_was_handed_over_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(monkeypatch) as (runtime, _):
        inner: Any = runtime
        hand_over = inner._loop._loop.call_soon_threadsafe
        interruptions = iter([KeyboardInterrupt()])

        def interrupted(*arguments: Any) -> Any:
            for interruption in interruptions:
                raise interruption
            return hand_over(*arguments)

        monkeypatch.setattr(inner._loop._loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runtime.version(v1.VersionRequest())
        assert runtime.status(v1.StatusRequest()) == v1.StatusResponse()


def test_ctrl_c_in_a_stream_ends_a_script_at_once(short_path: Path) -> None:
    """A whole program, as a user would write it, interrupted while it waits for the next event."""
    program = """
import asyncio, os, signal, sys, threading
import cri
from cri.v1 import api_pb2 as v1
sys.path.insert(0, ".")
from tests.cri.scripted import scripted

async def events(request):
    try:
        yield v1.ContainerEventResponse(container_id="1")
        await asyncio.Event().wait()
    finally:
        print("closed", flush=True)

started, stop = threading.Event(), threading.Event()
async def serve():
    async with cri.serve(scripted(get_container_events=events), sys.argv[1]):
        started.set()
        await asyncio.to_thread(stop.wait)

server = threading.Thread(target=asyncio.run, args=[serve()])
server.start()
started.wait()
try:
    with cri.sync.open(sys.argv[1]) as runtime:
        for event in runtime.get_container_events(v1.GetEventsRequest()):
            threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
except KeyboardInterrupt:
    print("interrupted", flush=True)
finally:
    stop.set()
    server.join()
"""
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", program, f"unix://{short_path}/x.sock"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert set(ran.stdout.split()) == {"closed", "interrupted"}


async def test_inside_an_event_loop_the_facade_refuses_to_open() -> None:
    with pytest.raises(RuntimeError, match=r"async with cri\.open"), cri.sync.open("fake"):
        pass


def test_every_rpc_is_there_documented_as_in_the_contract() -> None:
    for rpc in RPCS:
        method = getattr(cri.sync.Runtime, rpc.attribute)
        assert inspect.getdoc(method) == inspect.getdoc(getattr(Runtime, rpc.attribute))
        assert inspect.isgeneratorfunction(method) is rpc.streaming


def test_a_real_endpoint_is_used_by_address(address: str) -> None:
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with cri.serve(scripted(), address):
            ready.set()
            await asyncio.to_thread(stop.wait)

    server = threading.Thread(target=asyncio.run, args=[serve()])
    server.start()
    try:
        ready.wait()
        with cri.sync.open(address) as runtime:
            assert runtime.list_images(v1.ListImagesRequest()) == v1.ListImagesResponse()
    finally:
        stop.set()
        server.join()
