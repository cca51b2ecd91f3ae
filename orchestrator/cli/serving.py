"""``serve`` and ``up``: the two commands that stay. Here runtime, store, orchestrator and servers are put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import ConfigOption, InsecureOption, RuntimeOption
from orchestrator.cli.running import execute, log_to_stderr, settings

if TYPE_CHECKING:
    from cri.calls import Observer
    from cri.progress import Listener
    from cri.runtime import Runtime
    from orchestrator.control import Orchestrator
    from orchestrator.settings import MinicriSettings
    from orchestrator.store import Store

ListenOption = Annotated[
    str | None, typer.Option("--listen", metavar="ADDRESS", help="Where to listen: unix:///path or host:port.")
]


def serve(
    runtime: RuntimeOption = None,
    listen: ListenOption = None,
    insecure: InsecureOption = None,
    metrics: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Prometheus metrics over HTTP.")] = None,
    config: ConfigOption = None,
) -> None:
    """Serve the CRI endpoint of a container runtime, for crictl, the kubelet or any gRPC client."""
    execute(_serve(config, {"runtime": runtime, "listen": listen, "insecure": insecure, "metrics": metrics}))


async def _serve(config: Path | None, flags: Mapping[str, object]) -> None:
    import cri

    told = settings(config, flags).value
    log_to_stderr(told.log.level, told.log.format)
    async with AsyncExitStack() as stack:
        observer = _observer(told, stack)
        runtime = await stack.enter_async_context(cri.open(told.runtime, runtimes=told.runtimes))
        server = cri.serve(
            runtime, told.listen, tls=told.tls, insecure=told.insecure, observer=observer, grace=told.grace
        )
        await stack.enter_async_context(server)
        await server.run_until_signal()


def _observer(told: MinicriSettings, stack: AsyncExitStack) -> Observer | None:
    if not told.metrics:
        return None
    from cri.metrics import RpcMetrics, http_endpoint

    metrics = RpcMetrics()
    stack.enter_context(http_endpoint(metrics.registry, told.metrics, tls=told.tls))
    return metrics


def up(
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="A manifest to apply at the start; - is stdin.")
    ] = None,
    runtime: RuntimeOption = None,
    listen: ListenOption = None,
    state: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Queue, Db, history and logs.")] = None,
    insecure: InsecureOption = None,
    config: ConfigOption = None,
) -> None:
    """Run the orchestrator in the foreground. Its end leaves the containers alone; the next one adopts them."""
    flags = {
        "runtime": runtime,
        "orchestrator.listen": listen,
        "orchestrator.state": state,
        "orchestrator.insecure": insecure,
    }
    execute(_up(file, config, flags))


async def _up(file: str | None, config: Path | None, flags: Mapping[str, object]) -> None:
    from orchestrator import manifest
    from orchestrator.messages import FORMATS
    from orchestrator.server import Service, server
    from orchestrator.store import open_store
    from orchestrator.v1 import orchestrator_pb2 as pb

    told = settings(config, flags).value
    log_to_stderr(told.log.level, told.log.format)
    wishes = None
    if file is not None:
        text, form, source, directory = manifest.load_text(file)
        manifest.parse(text, form, source=source, directory=directory)
        wishes = pb.SubmitRequest(
            manifest=text, format=FORMATS[form], source=source, directory=directory, actor="minicri up"
        )
    state = private_folder(told.orchestrator.state)
    async with open_store(state) as store, orchestrating(told, store, state) as (orchestrator, runtime):
        service = Service(orchestrator, runtime, instance=store.instance)
        async with server(
            service, told.orchestrator.listen, tls=told.orchestrator.tls, insecure=told.orchestrator.insecure
        ) as listening:
            if wishes is not None:
                await service.submit(wishes)
            await listening.run_until_signal()


@asynccontextmanager
async def orchestrating(
    told: MinicriSettings, store: Store, state: Path, on_pull: Listener | None = None
) -> AsyncIterator[tuple[Orchestrator, Runtime]]:
    """Runtime and orchestrator as the settings say, running inside the block."""
    import cri
    from orchestrator.control import Orchestrator, Settings
    from orchestrator.settings import PACE

    pace = Settings(**told.orchestrator.model_dump(include=set(PACE)))
    async with (
        cri.open(told.runtime, runtimes=told.runtimes) as runtime,
        Orchestrator(runtime, store, state_dir=state, settings=pace, on_pull=on_pull) as orchestrator,
    ):
        yield orchestrator, runtime


def private_folder(path: Path) -> Path:
    """``path``, made for this user alone where it is missing: logs and environments are nobody else's business."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
