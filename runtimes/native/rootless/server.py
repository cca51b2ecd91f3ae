"""``python -m runtimes.native.rootless.server CONFIG``: the engine, inside the user's namespaces, behind a socket."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cri
from cri.errors import CRIError
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.network import namespaces, reach, slirp
from runtimes.native.rootless import answers, holder
from runtimes.native.rootless.connection import SOCKET, is_alone, wait_until_alone
from runtimes.native.runtime import NativeRuntime

LINGER = 10.0
"""Seconds without anybody connected after which the server ends: the next command in a row finds it still there."""

_HOLDER = 1


def inside(config: NativeConfig) -> NativeConfig:
    """The engine's own configuration: what runs is in a place that only these namespaces see. Tells the networks where
    they are."""
    no_network = config.run / holder.NO_NETWORK
    if no_network.exists():
        reach.is_missing(no_network.read_text())
    if (config.run / holder.PORTS).exists():
        slirp.answers_at(config.run / holder.PORTS)
    namespaces.live_in(Path(f"/proc/{_HOLDER}/ns/net"))
    return config.model_copy(update={"run": config.run / holder.STATE})


async def serve(config: NativeConfig) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    threading.Thread(
        target=_wait, args=(config.run, lambda: loop.call_soon_threadsafe(ended.set)), name="clients", daemon=True
    ).start()
    try:
        runtime = await NativeRuntime.open(inside(config))
    except (CRIError, OSError) as error:
        answers.fail(error)
        return
    async with runtime:
        async with cri.serve(runtime, f"unix://{config.run / SOCKET}"):
            (config.run / "config.json").write_text(config.model_dump_json())
            answers.give({})
            os.dup2(2, 1)
            await ended.wait()
        idle = not await _runs(runtime)
    if idle:
        # Everything in these namespaces goes with it.
        os.kill(_HOLDER, signal.SIGTERM)


async def _runs(runtime: NativeRuntime) -> bool:
    """Whether there is anything that a reboot would end."""
    ready = v1.PodSandboxFilter(state=v1.PodSandboxStateValue(state=v1.SANDBOX_READY))
    running = v1.ContainerFilter(state=v1.ContainerStateValue(state=v1.CONTAINER_RUNNING))
    return bool(
        (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest(filter=ready))).items
        or (await runtime.list_containers(v1.ListContainersRequest(filter=running))).containers
    )


def _wait(run: Path, ended: Callable[[], object]) -> None:
    while True:
        os.close(wait_until_alone(run))
        time.sleep(LINGER)
        # Kept until this process is gone: who comes meanwhile waits, and starts another.
        if is_alone(run) is not None:
            ended()
            return


if __name__ == "__main__":
    asyncio.run(serve(NativeConfig.model_validate_json(sys.argv[1])))
