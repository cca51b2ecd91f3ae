"""``Service``: the orchestrator's ``Api`` in this process, and the server that offers it at an address.

Every call here is translation: a message in, one or two calls on the ``Orchestrator``, a message out.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from importlib.metadata import version

from cri import probing
from cri.errors import FailedPrecondition, InvalidArgument, NotFound, OutOfRange
from cri.runtime import Runtime
from cri.server import Server, serve
from cri.tls import Tls
from cri.v1 import api_pb2 as v1
from manifests import manifest
from orchestrator.api import RPCS, Api
from orchestrator.control import Orchestrator
from orchestrator.messages import (
    declaration_message,
    event_message,
    format_of,
    orphan_message,
    result_message,
    state_of,
    task_message,
)
from orchestrator.task import State, Task
from orchestrator.v1 import orchestrator_pb2 as pb

MAX_MANIFEST = 4 * 1024 * 1024
"""Bytes of a manifest's text."""

_STREAMS = {"stdout": pb.LogsResponse.STREAM_STDOUT, "stderr": pb.LogsResponse.STREAM_STDERR}


class Service(Api):
    """Answers for one orchestrator. ``instance`` is its name in labels."""

    def __init__(self, orchestrator: Orchestrator, runtime: Runtime, *, instance: str) -> None:
        self._orchestrator = orchestrator
        self._runtime = runtime
        self._instance = instance

    async def submit(self, request: pb.SubmitRequest) -> pb.SubmitResponse:
        size = len(request.manifest.encode())
        if size > MAX_MANIFEST:
            raise InvalidArgument(f"manifest: {size} bytes are too many; at most {MAX_MANIFEST}, so split it")
        if request.directory and not os.path.isabs(request.directory):
            raise InvalidArgument(f"directory: {request.directory!r} must be an absolute path")
        if request.prune and not request.source:
            raise InvalidArgument("source: is required with prune: it says whose tasks are the ones to go")
        form = format_of(request.format, request.manifest)
        warnings: list[str] | None = [] if request.lenient else None
        specs = manifest.parse(request.manifest, form, request.source or "manifest", request.directory, warnings)
        results = await self._orchestrator.submit(
            specs,
            actor=request.actor or "api",
            source=os.path.join(request.directory, os.path.basename(request.source)),
            prune=request.prune,
            dry_run=request.dry_run,
        )
        return pb.SubmitResponse(results=map(result_message, results), warnings=warnings)

    async def scale(self, request: pb.ScaleRequest) -> pb.ScaleResponse:
        results = await self._orchestrator.declarer.scale(
            _named(request.name), request.replicas, actor=request.actor or "api"
        )
        return pb.ScaleResponse(results=map(result_message, results))

    async def rollback(self, request: pb.RollbackRequest) -> pb.RollbackResponse:
        results = await self._orchestrator.declarer.rollback(
            _named(request.name), request.revision, actor=request.actor or "api"
        )
        return pb.RollbackResponse(results=map(result_message, results))

    async def list_declarations(self, request: pb.ListDeclarationsRequest) -> pb.ListDeclarationsResponse:
        sequence = await self._orchestrator.last_seq()
        found = await self._orchestrator.declarer.list(request.names)
        told = [declaration_message(one, tasks, time.time()) for one, tasks in found]
        return pb.ListDeclarationsResponse(declarations=told, sequence=sequence)

    async def get(self, request: pb.GetRequest) -> pb.GetResponse:
        return pb.GetResponse(task=task_message(await self._orchestrator.get(_named(request.name))))

    async def list(self, request: pb.ListRequest) -> pb.ListResponse:
        sequence = await self._orchestrator.last_seq()
        states = {state_of(number) for number in request.states}
        tasks = [task for task in await self._select(request.selector) if not states or task.state in states]
        return pb.ListResponse(tasks=[task_message(task) for task in tasks], sequence=sequence)

    async def watch(self, request: pb.WatchRequest) -> AsyncGenerator[pb.WatchResponse]:
        newest = await self._orchestrator.last_seq()
        if request.after > newest:
            raise OutOfRange(f"after: {request.after} lies beyond the newest event, {newest}: this is another history")
        until = None if request.follow else newest
        events = self._orchestrator.watch(request.after or None, task_id=request.task or None, until=until)
        async with aclosing(events):
            async for event in events:
                yield pb.WatchResponse(event=event_message(event))

    async def stop(self, request: pb.StopRequest) -> pb.StopResponse:
        tasks = [task for task in await self._chosen(request.selector, request.all) if not task.settled]
        for task in tasks:
            try:
                await self._orchestrator.put(task.id, State.COMPLETED, actor="api", cause="stop")
            except (FailedPrecondition, NotFound):
                # Between our look and the wish it came to its end by itself, or by another hand.
                if any(one.uid == task.uid and not one.settled for one in await self._orchestrator.list()):
                    raise
        names = [task.id for task in tasks]
        if request.wait:
            await self._orchestrator.wait_settled(names)
        return pb.StopResponse(names=names)

    async def restart(self, request: pb.RestartRequest) -> pb.RestartResponse:
        names: list[str] = []
        refused: list[str] = []
        for task in await self._chosen(request.selector, request.all):
            try:
                await self._orchestrator.put(task.id, State.SCHEDULED, actor="api", cause="restart")
                names.append(task.id)
            except (FailedPrecondition, NotFound) as error:
                refused.append(error.message)
        if refused:
            raise FailedPrecondition("\n".join([*refused, f"restarting the others: {', '.join(names) or 'none'}"]))
        return pb.RestartResponse(names=names)

    async def delete(self, request: pb.DeleteRequest) -> pb.DeleteResponse:
        tasks = await self._chosen(request.selector, request.all, known=False)
        names = [one.name for one, _ in await self._orchestrator.declarer.list()]
        meant = names if request.all else set(names).intersection(request.selector.names)
        await self._orchestrator.declarer.forget(tasks, list(meant), actor="api", cause="delete")
        if request.wait:
            for task in tasks:
                await self._orchestrator.until(task.id, _replaced(task.uid))
        return pb.DeleteResponse(names=[task.id for task in tasks])

    async def logs(self, request: pb.LogsRequest) -> AsyncGenerator[pb.LogsResponse]:
        lines = self._orchestrator.logs(
            _named(request.name),
            container=request.container,
            follow=request.follow,
            tail=request.tail if request.HasField("tail") else None,
            since=request.since_ns / 1e9 if request.since_ns else None,
        )
        async with aclosing(lines):
            async for line in lines:
                yield pb.LogsResponse(
                    time_ns=line.timestamp_ns, stream=_STREAMS[line.stream], line=line.text, partial=line.partial
                )

    async def describe(self, request: pb.DescribeRequest) -> pb.DescribeResponse:
        told = await self._orchestrator.describe(_named(request.name))
        addresses: Sequence[str] = ()
        if told.task.sandbox_id:
            with suppress(NotFound):
                addresses = await probing.addresses(self._runtime, told.task.sandbox_id)
        return pb.DescribeResponse(
            task=task_message(told.task),
            why=told.why,
            events=[event_message(event) for event in told.events],
            addresses=addresses,
        )

    async def export(self, request: pb.ExportRequest) -> pb.ExportResponse:
        names = {task.spec.name for task in await self._select(request.selector)}.union(request.selector.names)
        everything = not request.selector.names and not request.selector.labels
        declared = await self._orchestrator.declarer.list()
        specs = [one.spec for one, _ in declared if everything or one.name in names]
        form = format_of(request.format or pb.FORMAT_YAML)
        return pb.ExportResponse(manifest=manifest.export(specs, form) if specs else "")

    async def exec(self, request: pb.ExecRequest) -> pb.ExecResponse:
        if not request.command:
            raise InvalidArgument("command: is required, one word an entry")
        answer = await self._runtime.exec(
            v1.ExecRequest(
                container_id=await self._orchestrator.container(_named(request.name), request.container),
                cmd=request.command,
                tty=request.tty,
                stdin=request.stdin,
                stdout=request.stdout,
                stderr=request.stderr,
            )
        )
        return pb.ExecResponse(url=answer.url)

    async def reap_orphans(self, request: pb.ReapOrphansRequest) -> pb.ReapOrphansResponse:
        orphans = self._orchestrator.orphans
        if request.dry_run:
            found = await orphans.list()
        else:
            found = await orphans.reap(actor=request.actor or "api", wait=request.wait)
        return pb.ReapOrphansResponse(orphans=map(orphan_message, found))

    async def info(self, request: pb.InfoRequest) -> pb.InfoResponse:
        behind = await self._runtime.version(v1.VersionRequest())
        return pb.InfoResponse(
            version=version("minicri"),
            instance=self._instance,
            runtime_name=behind.runtime_name,
            runtime_version=behind.runtime_version,
            pid=os.getpid(),
        )

    async def _chosen(self, selector: pb.Selector, everything: bool, *, known: bool = True) -> Sequence[Task]:
        """The tasks to change; an empty selector is a mistake more often than it is meant."""
        if not everything and not selector.names and not selector.labels:
            raise InvalidArgument("selector: is empty; name tasks or labels, or say all")
        return await self._select(selector, known=known)

    async def _select(self, selector: pb.Selector, *, known: bool = True) -> Sequence[Task]:
        tasks = await self._orchestrator.list(labels=dict(selector.labels) or None)
        if not selector.names:
            return tasks
        wanted = set(selector.names)
        found = [task for task in tasks if task.id in wanted or task.spec.name in wanted]
        declared = {one.name for one, _ in await self._orchestrator.declarer.list()}
        missing = wanted - {task.id for task in found} - {task.spec.name for task in found} - declared
        if missing and known:
            raise NotFound(f"no task {', '.join(sorted(missing))}", details={"names": ",".join(sorted(missing))})
        return found


def _replaced(uid: str) -> Callable[[Task | None], bool]:
    return lambda task: task is None or task.uid != uid


def _named(name: str) -> str:
    if not name:
        raise InvalidArgument("name: is required")
    return name


def server(service: Service, address: str, *, tls: Tls | None = None, insecure: bool = False) -> Server:
    """A server of ``service`` at ``address``, with health and reflection; see ``cri.server.serve``."""
    return serve(service, address, rpcs=RPCS, tls=tls, insecure=insecure)
