"""The main job, start to end: ``make demo``, or ``python examples/demo.py [RUNTIME]`` on the engine that answers.

Tasks from a manifest go through the queue and the Db and run as containers of a real engine, driven through a real CRI
endpoint: the engine is served over gRPC on a socket, and the orchestrator is a client of that socket.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from rich.console import Console

import cri
from cri.opening import Sections, survey
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from manifests import manifest
from minicri.live import show_tasks, tasks_table
from minicri.printing import event_line
from minicri.running import settings
from minicri.telling import telling
from orchestrator.control import Orchestrator
from orchestrator.messages import event_message
from orchestrator.server import Service
from orchestrator.store import MemoryStore
from orchestrator.task import State
from orchestrator.v1 import orchestrator_pb2 as pb

TASKS = """
name: web
image: busybox
command: [sh, -c]
args:
  - |
    mkdir -p /www
    echo '<h1>Hello from minicri</h1>' > /www/index.html
    exec httpd -f -p 8080 -h /www
network: {{ports: ["127.0.0.1:{port}:8080"]}}
restart: {{policy: always, backoff: 500ms}}
stop: {{grace: 1s}}
---
name: count
image: busybox
command: [sh, -c, "for number in 1 2 3; do echo counting $number; done"]
---
name: flaky
image: busybox
command: [sh, -c, "echo trying; exit 3"]
restart: {{policy: on-failure, attempts: 2, backoff: 500ms}}
"""

console = Console(highlight=False)


def say(text: str) -> None:
    """A heading of the story."""
    console.print(f"\n[bold cyan]==>[/] [bold]{text}[/]" if console.is_terminal else f"==> {text}", soft_wrap=True)


async def main(name: str) -> None:
    begun = time.monotonic()
    told = settings(None).value.runtimes
    name = await chosen(name, told)
    with tempfile.TemporaryDirectory(prefix="minicri-demo-") as folder:
        endpoint = f"unix://{folder}/cri.sock"
        async with (
            cri.open(name, runtimes=told) as engine,
            cri.serve(engine, endpoint),
            cri.connect(endpoint) as runtime,
        ):
            version = await runtime.version(v1.VersionRequest())
            engine_name = f"{version.runtime_name} {version.runtime_version}"
            say(f"{engine_name} is a CRI {version.runtime_api_version} endpoint at {endpoint}")
            store = MemoryStore()
            async with Orchestrator(runtime, store, state_dir=Path(folder)) as orchestrator:
                try:
                    await story(orchestrator, runtime, Service(orchestrator, runtime, instance=store.instance))
                finally:
                    say("Stop everything")
                    await orchestrator.stop_all(forget=True, actor="demo")
                await nothing_is_left(runtime, store.instance)
    say(f"That was the main job, in {time.monotonic() - begun:.1f} seconds")


async def chosen(name: str, told: Sections) -> str:
    """The engine's name, and why this one."""
    if name != "auto":
        return name
    choice = await survey(told)
    if choice.chosen is None:
        sys.exit(f"error: {choice.explain()}\nOr without an engine: python examples/demo.py fake")
    say(f"Engine: {choice.explain()}")
    return choice.chosen.name


async def story(orchestrator: Orchestrator, runtime: Runtime, service: Service) -> None:
    port = free_port()
    say("Submit three tasks: a web server, a job that completes, and a job that fails and is tried again")
    specs = manifest.parse(TASKS.format(port=port), "yaml", source="demo")
    async with watching(orchestrator, service):
        await orchestrator.submit(specs, actor="demo")
        await orchestrator.wait("web", {State.RUNNING})
        await orchestrator.wait_settled(["count", "flaky"])

    say("What count wrote")
    await copy_output(orchestrator, "count")

    say("Why is flaky not running?")
    print((await orchestrator.describe("flaky")).why)

    url = f"http://127.0.0.1:{port}/"
    say(f"Fetch the web server's page, {url}")
    print(await page(url))

    say("Kill the web server's container behind the orchestrator's back")
    async with watching(orchestrator, service):
        before, seen = await orchestrator.get("web"), await orchestrator.last_seq()
        await runtime.stop_container(v1.StopContainerRequest(container_id=before.container_id, timeout=0))
        async with aclosing(orchestrator.watch(seen, task_id="web")) as events:
            async for event in events:
                if event.target is State.RUNNING and event.attempt > before.attempt:
                    break
    say("It came back by itself; fetch the page again")
    print(await page(url))

    if console.is_terminal:  # a pipe has seen every line of it already
        say("The history: every transition, with its cause")
        for event in await orchestrator.history():
            print(event_line(event_message(event)))


@asynccontextmanager
async def watching(orchestrator: Orchestrator, service: Service) -> AsyncIterator[None]:
    """Show what happens inside the block: a table that moves on a terminal, a line for each event in a pipe."""
    if not console.is_terminal:
        async with telling(orchestrator, lambda event: print(event_line(event))):
            yield
        return
    everything = pb.ListRequest()
    showing = asyncio.create_task(show_tasks(service, everything, console=console, transient=True))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait({showing})
        console.print(tasks_table(await service.list(everything)))


async def copy_output(orchestrator: Orchestrator, name: str) -> None:
    async for line in orchestrator.logs(name):
        print(f"{name} | {line.text.decode()}")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def page(url: str) -> str:
    """The page, asked for until the server inside the container listens."""
    async with asyncio.timeout(10):
        while True:
            try:
                answer = await asyncio.to_thread(urllib.request.urlopen, url, None, 2)
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                await asyncio.sleep(0.05)  # nothing tells when a port inside a container opens
                continue
            with answer:
                return str(answer.read().decode().strip())


async def nothing_is_left(runtime: Runtime, instance: str) -> None:
    """Ask the engine itself."""
    mine = {"minicri.io/instance": instance}
    sandboxes = await runtime.list_pod_sandbox(
        v1.ListPodSandboxRequest(filter=v1.PodSandboxFilter(label_selector=mine))
    )
    containers = await runtime.list_containers(v1.ListContainersRequest(filter=v1.ContainerFilter(label_selector=mine)))
    left = [*sandboxes.items, *containers.containers]
    if left:
        sys.exit(f"error: {len(left)} things are left: {left}")
    print("Nothing is left: no container, no sandbox")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "auto"))
