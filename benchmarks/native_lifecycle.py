"""How long lives of sandboxes and containers take on the native engine, next to containerd, through one client."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import cri
from benchmarks.lives import Clock, containers, sandboxes, side_by_side
from benchmarks.remote import serving
from benchmarks.result import Absent, Result
from benchmarks.ways import Minicri, Way
from cri.v1 import api_pb2 as v1
from tests.host.containerd import private_containerd
from tests.host.errors import Unavailable
from tests.host.native import private_native

ROUNDS = {1: 15, 8: 5}
"""How often, for so many lives at a time."""

GOALS = {("sandbox", 1): 0.2, ("container", 1): 0.5, ("sandbox", 8): 0.25}
"""Of containerd's time."""

NATIVE, CONTAINERD = "native", "containerd"
SETTINGS = "MINICRI_RUNTIMES__NATIVE"


class AsKubelet(Minicri):
    """Each container with processes of its own, as the kubelet asks for by default."""

    def sandbox_config(self, name: str) -> v1.PodSandboxConfig:
        config = super().sandbox_config(name)
        config.linux.security_context.namespace_options.pid = v1.CONTAINER
        return config

    def container_config(self, name: str) -> v1.ContainerConfig:
        config = super().container_config(name)
        config.linux.security_context.namespace_options.pid = v1.CONTAINER
        return config


async def run() -> AsyncIterator[Result]:
    async with AsyncExitStack() as stack:
        try:
            ways = await stack.enter_async_context(_ways())
        except Unavailable as error:
            raise Absent(str(error)) from error
        for kind, lives in {"sandbox": sandboxes, "container": containers}.items():
            for at_once, rounds in ROUNDS.items():
                clocks = await side_by_side(ways, lives, at_once, rounds)
                for result in _compared(kind, at_once, clocks):
                    yield result


def _compared(kind: str, at_once: int, clocks: dict[str, Clock]) -> list[Result]:
    """The ratio of whole lives is the claim; the steps tell where the time goes."""
    how = f"{kind}, {at_once} at a time"
    native, other = clocks[NATIVE], clocks[CONTAINERD]
    ratio = native.median("life") / other.median("life")
    results = [Result(what=f"life of a {how}, to containerd's", value=ratio, unit="x", goal=GOALS.get((kind, at_once)))]
    for step in native.seconds:
        theirs = f"containerd's: {other.median(step) * 1e3:.1f} ms"
        results.append(Result(what=f"  {step} of a {how} ({theirs})", value=native.median(step) * 1e3, unit="ms"))
    return results


@asynccontextmanager
async def _ways() -> AsyncIterator[dict[str, Way]]:
    """Raises Unavailable where this host cannot have both."""
    async with AsyncExitStack() as stack:
        containerd = stack.enter_context(private_containerd())
        stack.enter_context(_settings())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="minicri-bench-")))
        address = f"unix://{folder}/cri.sock"
        await stack.enter_async_context(serving(NATIVE, address))
        near = await stack.enter_async_context(cri.connect(address))
        far = await stack.enter_async_context(cri.connect(containerd.address))
        yield {NATIVE: AsKubelet(near, folder / "n"), CONTAINERD: AsKubelet(far, folder / "c")}


@contextmanager
def _settings() -> Iterator[None]:
    """A native engine, for the processes that this one starts."""
    with private_native() as options:
        os.environ[SETTINGS] = json.dumps(options)
        try:
            yield
        finally:
            del os.environ[SETTINGS]
