"""``Service``: the orchestrator's ``Api`` in this process, and the server that offers it at an address.

Every call here is translation: a message in, one or two calls on the ``Orchestrator``, a message out.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from importlib.metadata import version
from typing import Any

from cri.errors import InvalidArgument, NotFound, OutOfRange
from cri.runtime import Runtime
from cri.server import Server, serve
from cri.tls import Tls
from cri.v1 import api_pb2 as v1
from orchestrator import manifest
from orchestrator.api import RPCS, Api
from orchestrator.control import Orchestrator
from orchestrator.messages import event_message, format_of, state_of, task_message
from orchestrator.spec import TaskSpec
from orchestrator.task import Event, State, Task
from orchestrator.v1 import orchestrator_pb2 as pb

MAX_MANIFEST = 4 * 1024 * 1024
"""Bytes of a manifest's text."""

HISTORY_PAGE = 1000
"""Lines of history read at once."""

_CHANGES: dict[str, pb.SubmitResponse.Change] = {
    "created": pb.SubmitResponse.CHANGE_CREATED,
    "changed": pb.SubmitResponse.CHANGE_CHANGED,
    "unchanged": pb.SubmitResponse.CHANGE_UNCHANGED,
    "removed": pb.SubmitResponse.CHANGE_REMOVED,
    "rejected": pb.SubmitResponse.CHANGE_REJECTED,
}
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
        form = format_of(request.format, request.manifest)
        specs = manifest.parse(request.manifest, form, source=request.source, directory=request.directory)
        results = await self._orchestrator.submit(specs, actor=request.actor or "api")
        return pb.SubmitResponse(
            results=[
                pb.SubmitResponse.Result(
                    name=one.task_id,
                    change=_CHANGES[one.change],
                    message=one.message,
                )
                for one in results
            ]
        )

    async def get(self, request: pb.GetRequest) -> pb.GetResponse:
        return pb.GetResponse(task=task_message(await self._orchestrator.get(_named(request.name))))

    async def list(self, request: pb.ListRequest) -> pb.ListResponse:
        sequence = await self._orchestrator.last_seq()
        states = {state_of(number) for number in request.states}
        tasks = [task for task in await self._select(request.selector) if not states or task.state in states]
        return pb.ListResponse(tasks=[task_message(task) for task in tasks], sequence=sequence)

    async def watch(self, request: pb.WatchRequest) -> AsyncIterator[pb.WatchResponse]:
        newest = await self._orchestrator.last_seq()
        if request.after > newest:
            raise OutOfRange(f"after: {request.after} lies beyond the newest event, {newest}: this is another history")
        events = self._happening(request) if request.follow else self._happened(request, newest)
        async with aclosing(events):
            async for event in events:
                yield pb.WatchResponse(event=event_message(event))

    async def _happening(self, request: pb.WatchRequest) -> AsyncGenerator[Event]:
        events: Any = self._orchestrator.watch(request.after, task_id=request.task or None)
        async with aclosing(events):
            async for event in events:
                yield event

    async def _happened(self, request: pb.WatchRequest, newest: int) -> AsyncGenerator[Event]:
        after = request.after
        while page := await self._orchestrator.history(after, task_id=request.task or None, limit=HISTORY_PAGE):
            for event in page:
                if event.seq > newest:
                    return
                yield event
            after = page[-1].seq

    async def stop(self, request: pb.StopRequest) -> pb.StopResponse:
        tasks = [task for task in await self._chosen(request.selector, request.all) if not task.ended]
        names = await self._put(tasks, State.COMPLETED, "stop")
        if request.wait:
            await self._orchestrator.wait_settled(names)
        return pb.StopResponse(names=names)

    async def restart(self, request: pb.RestartRequest) -> pb.RestartResponse:
        tasks = await self._chosen(request.selector, request.all)
        return pb.RestartResponse(names=await self._put(tasks, State.SCHEDULED, "restart"))

    async def delete(self, request: pb.DeleteRequest) -> pb.DeleteResponse:
        tasks = await self._chosen(request.selector, request.all, known=False)
        names = await self._put(tasks, State.COMPLETED, "delete", forget=True)
        if request.wait:
            for name in names:
                await self._orchestrator.wait(name, ())
        return pb.DeleteResponse(names=names)

    async def _put(self, tasks: Sequence[Task], state: State, cause: str, *, forget: bool = False) -> Sequence[str]:
        for task in tasks:
            await self._orchestrator.put(task.id, state, forget=forget, actor="api", cause=cause)
        return [task.id for task in tasks]

    async def logs(self, request: pb.LogsRequest) -> AsyncIterator[pb.LogsResponse]:
        lines: Any = self._orchestrator.logs(
            _named(request.name),
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
        return pb.DescribeResponse(
            task=task_message(told.task),
            why=told.why,
            events=[event_message(event) for event in told.events],
            addresses=await self._addresses(told.task.sandbox_id),
        )

    async def _addresses(self, sandbox_id: str) -> Sequence[str]:
        if not sandbox_id:
            return []
        try:
            answer = await self._runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))
        except NotFound:
            return []
        network = answer.status.network
        return [ip for ip in (network.ip, *(one.ip for one in network.additional_ips)) if ip]

    async def export(self, request: pb.ExportRequest) -> pb.ExportResponse:
        specs: dict[str, TaskSpec] = {}
        for task in await self._select(request.selector):
            specs.setdefault(task.spec.name, task.spec)
        form = format_of(request.format or pb.FORMAT_YAML)
        return pb.ExportResponse(manifest=manifest.export(list(specs.values()), form) if specs else "")

    async def exec(self, request: pb.ExecRequest) -> pb.ExecResponse:
        if not request.command:
            raise InvalidArgument("command: is required, one word an entry")
        answer = await self._runtime.exec(
            v1.ExecRequest(
                container_id=await self._orchestrator.container(_named(request.name)),
                cmd=request.command,
                tty=request.tty,
                stdin=request.stdin,
                stdout=request.stdout,
                stderr=request.stderr,
            )
        )
        return pb.ExecResponse(url=answer.url)

    async def info(self, request: pb.InfoRequest) -> pb.InfoResponse:
        behind = await self._runtime.version(v1.VersionRequest())
        return pb.InfoResponse(
            version=own_version(),
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
        missing = wanted - {task.id for task in found} - {task.spec.name for task in found}
        if missing and known:
            raise NotFound(f"no task {', '.join(sorted(missing))}", details={"names": ",".join(sorted(missing))})
        return found


def _named(name: str) -> str:
    if not name:
        raise InvalidArgument("name: is required")
    return name


def own_version() -> str:
    """The version of this distribution."""
    return version("minicri")


def server(service: Service, address: str, *, tls: Tls | None = None, insecure: bool = False) -> Server:
    """A server of ``service`` at ``address``, with health and reflection; see ``cri.server.serve``."""
    return serve(service, address, rpcs=RPCS, tls=tls, insecure=insecure)
