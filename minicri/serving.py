"""``serve`` and ``up``: the two commands that stay. Here runtime, store, orchestrator and servers are put together."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minicri.options import ConfigOption, InsecureOption, LenientOption, RuntimeOption
from minicri.running import allow_many_files, execute, format_name, log_to_stderr, settings

if TYPE_CHECKING:
    from cri.calls import Observer
    from cri.progress import Listener
    from cri.runtime import Runtime
    from minicri.settings import MinicriSettings
    from orchestrator.control import Orchestrator
    from orchestrator.store import Store
    from orchestrator.v1 import orchestrator_pb2 as pb

_log = logging.getLogger(__name__)

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
    allow_many_files()
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
    lenient: LenientOption = False,
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
    execute(_up(file, lenient, config, flags))


async def _up(file: str | None, lenient: bool, config: Path | None, flags: Mapping[str, object]) -> None:
    from cri import folders
    from manifests import manifest
    from orchestrator.server import Service, server
    from orchestrator.store import open_store
    from orchestrator.v1 import orchestrator_pb2 as pb

    told = settings(config, flags).value
    log_to_stderr(told.log.level, told.log.format)
    allow_many_files()
    wishes = None
    if file is not None:
        text, form, source, directory = manifest.load_text(file)
        warnings: list[str] | None = [] if lenient else None
        manifest.parse(text, form, source, directory, warnings)
        for warning in warnings or ():
            _log.warning("%s", warning)
        wishes = pb.SubmitRequest(
            manifest=text,
            format=format_name(form),
            source=source,
            directory=directory,
            actor="minicri up",
            lenient=lenient,
        )
    state = folders.private(told.orchestrator.state)
    async with (
        open_store(state, history=told.orchestrator.history) as store,
        orchestrating(told, store, state, measured=True) as (orchestrator, runtime),
    ):
        service = Service(orchestrator, runtime, instance=store.instance)
        async with server(
            service, told.orchestrator.listen, tls=told.orchestrator.tls, insecure=told.orchestrator.insecure
        ) as listening:
            if wishes is not None:
                _tell((await service.submit(wishes)).results)
            await listening.run_until_signal()


def _tell(results: Iterable[pb.SubmitResponse.Result]) -> None:
    """What became of the manifest; a refusal does not keep the other tasks from running."""
    from minicri.printing import change_name
    from orchestrator.v1 import orchestrator_pb2 as pb

    for one in results:
        level = logging.WARNING if one.change == pb.SubmitResponse.CHANGE_REJECTED else logging.INFO
        said = f": {one.message}" if one.message else ""
        _log.log(level, "%s: %s%s", one.name, change_name(one.change), said)


@asynccontextmanager
async def orchestrating(
    told: MinicriSettings, store: Store, state: Path, on_pull: Listener | None = None, *, measured: bool = False
) -> AsyncIterator[tuple[Orchestrator, Runtime]]:
    """Runtime and orchestrator as the settings say, running inside the block; ``measured``: with their metrics."""
    import cri
    from minicri.settings import LIMITS, PACE
    from orchestrator.collection import Limits
    from orchestrator.control import Orchestrator, Settings

    pace = Settings(**told.orchestrator.model_dump(include=set(PACE)))
    limits = Limits(**told.orchestrator.model_dump(include=set(LIMITS)))
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(cri.open(told.runtime, runtimes=told.runtimes))
        metrics = None
        if measured and told.orchestrator.metrics:
            from cri.metrics import http_endpoint
            from minicri.metrics import TaskMetrics

            metrics = TaskMetrics()
            stack.enter_context(http_endpoint(metrics.registry, told.orchestrator.metrics, tls=told.orchestrator.tls))
            runtime = metrics.counted(runtime)
        orchestrator = await stack.enter_async_context(
            Orchestrator(
                runtime, store, state_dir=state, settings=pace, limits=limits, on_pull=on_pull, measure=metrics
            )
        )
        if metrics is not None:
            await stack.enter_async_context(metrics.counting(orchestrator, store))
        yield orchestrator, runtime
