"""One program on any ``cri.Runtime``, and what it saw, as plain data.

A record has a sentence for each thing that was looked at, and what was seen: words, numbers, lists of them. What
differs between two runs by its nature (ids, times, addresses, names) is not in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

from cri import logs
from cri.errors import Unimplemented
from cri.streaming.client import forward_ports, open_command
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import RUN_LABEL, Kit, eventually, free_port, shell
from tests.conformance.web import httpd, page_at
from tests.e2e.swap_mistakes import mistakes

Record = dict[str, object]

BOTH_STREAMS = "echo one; echo two; echo wrong >&2; printf 'no end'; sleep 1; exit 3"
"""It lasts a moment: containerd notes a start only after it."""
UNTIL_TERM = "trap 'echo going; exit 5' TERM; echo ready; while true; do sleep 0.05; done"


async def play(kit: Kit) -> Record:
    """The whole program. ``kit`` removes what it made."""
    parts = (sandboxes, lives, endings, processes, lists, ports, streams, events, mistakes)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part(kit)) for part in parts]
    return {sentence: value for task in tasks for sentence, value in task.result().items()}


async def sandboxes(kit: Kit) -> Record:
    sandbox_id = await kit.sandbox(hostname="the-host", labels={"app": "swap"}, annotations={"note": "kept"})
    ready = await kit.sandbox_status(sandbox_id)
    member = await kit.run(sandbox_id)
    await kit.stop_sandbox(sandbox_id)
    stopped = await kit.sandbox_status(sandbox_id)
    inside = await kit.status(member)
    await kit.remove_sandbox(sandbox_id)
    return {
        "a sandbox that runs": v1.PodSandboxState.Name(ready.state),
        "a sandbox that runs has an address": bool(ready.network.ip),
        "labels of a sandbox": {key: value for key, value in ready.labels.items() if key != RUN_LABEL},
        "annotations of a sandbox": dict(ready.annotations),
        "a sandbox that was stopped": v1.PodSandboxState.Name(stopped.state),
        "a sandbox that was stopped has one": bool(stopped.network.ip),
        "a container of a sandbox that was stopped": ending(inside),
        "sandboxes that are left after its removal": len(await kit.sandboxes(id=sandbox_id)),
        "containers that are left after its removal": len(await kit.containers(pod_sandbox_id=sandbox_id)),
    }


async def lives(kit: Kit) -> Record:
    sandbox_id = await kit.sandbox()
    container_id = await kit.create(sandbox_id, *shell(BOTH_STREAMS), labels={"app": "swap"}, annotations={"a": "b"})
    created = await kit.status(container_id)
    await kit.start(container_id)
    exited = await kit.exited(container_id)
    await kit.remove(container_id)
    records = logged(exited)
    return {
        "a container that was created": v1.ContainerState.Name(created.state),
        "a container that was created has started": created.started_at > 0,
        "labels and annotations of a container": [created.labels["app"], dict(created.annotations)],
        "a container that exited by itself": ending(exited),
        "times of a container are in order": created.created_at <= exited.started_at <= exited.finished_at,
        # An engine may read the two of them in any order.
        "the streams of a container that is gone": sorted(records, key=lambda record: record[0]),
    }


def logged(status: v1.ContainerStatus) -> list[list[str]]:
    """The records at the status's path: stream, tag and text."""
    found = logs.read(Path(status.log_path))
    return [[each.stream, "P" if each.partial else "F", each.text.decode()] for each in found]


def ending(status: v1.ContainerStatus) -> list[object]:
    """State, exit code and reason."""
    return [v1.ContainerState.Name(status.state), status.exit_code, status.reason]


async def endings(kit: Kit) -> Record:
    """How containers end: by themselves, asked to, made to."""
    sandbox_id = await kit.sandbox()
    good = await kit.exited(await kit.run(sandbox_id, "true"))
    polite = await kit.run(sandbox_id, *shell(UNTIL_TERM))
    await kit.logged(polite, b"ready")
    await kit.stop(polite, timeout=60)
    said = logged(await kit.status(polite))
    deaf = await kit.run(sandbox_id, *shell("trap '' TERM; echo ready; while true; do sleep 0.05; done"))
    await kit.logged(deaf, b"ready")
    await kit.stop(deaf, timeout=1)
    killed = await kit.run(sandbox_id)
    await kit.stop(killed, timeout=0)
    return {
        "a container that did what it should": ending(good),
        "a container that heeds SIGTERM": ending(await kit.status(polite)),
        "what a container that heeds SIGTERM says": said,
        "a container that does not heed SIGTERM": ending(await kit.status(deaf)),
        "a container that is killed at once": ending(await kit.status(killed)),
    }


async def processes(kit: Kit) -> Record:
    """What a process finds around it, and commands in a running container."""
    sandbox_id = await kit.sandbox(hostname="the-host")
    environment = [v1.KeyValue(key="MODE", value=b"swap")]
    surroundings = await kit.output(
        sandbox_id,
        *shell('echo "$MODE"; pwd; hostname; id -u; for word in "$@"; do echo "<$word>"; done'),
        args=["sh", "two words", "$MODE"],
        envs=environment,
        working_dir="/tmp",
    )
    running = await kit.run(sandbox_id, envs=environment)
    answer = await kit.exec(running, *shell('echo "$MODE"; echo wrong >&2; exit 7'))
    other = await kit.run(sandbox_id, *httpd("shared", "8080"))
    reached = await eventually(lambda: fetched(kit, running, "http://127.0.0.1:8080/"), "the neighbour answers")
    await kit.remove(other)
    return {
        "what a process finds": surroundings.splitlines(),
        "a command inside": [answer.exit_code, answer.stdout.decode(), answer.stderr.decode()],
        "a neighbour in the sandbox": reached,
    }


async def fetched(kit: Kit, container_id: str, url: str) -> str:
    answer = await kit.exec(container_id, "wget", "-q", "-O", "-", url)
    return answer.stdout.decode() if answer.exit_code == 0 else ""


async def lists(kit: Kit) -> Record:
    """What the filters find."""
    sandbox_id = await kit.sandbox(labels={"tier": "front"})
    await kit.sandbox(labels={"tier": "back"})
    running = await kit.run(sandbox_id, labels={"role": "a", "app": "x"})
    await kit.create(sandbox_id, labels={"role": "b", "app": "x"})
    await kit.exited(await kit.run(sandbox_id, "true", labels={"role": "c", "app": "y"}))

    async def roles(**fields: Any) -> list[str]:
        return sorted(item.labels["role"] for item in await kit.containers(pod_sandbox_id=sandbox_id, **fields))

    exited = v1.ContainerStateValue(state=v1.CONTAINER_EXITED)
    return {
        "containers of a sandbox": await roles(),
        "containers of one label": await roles(label_selector={"app": "x"}),
        "containers of two labels": await roles(label_selector={"app": "x", "role": "b"}),
        "containers of a label that none has": await roles(label_selector={"app": "z"}),
        "containers that have exited": await roles(state=exited),
        "containers by the beginning of an id": await roles(id=running[:12]),
        "sandboxes of one label": len(await kit.sandboxes(label_selector={"tier": "front"})),
    }


async def ports(kit: Kit) -> Record:
    """A published port, and the same one again once it is free."""
    port = free_port()
    mapping = v1.PortMapping(container_port=80, host_port=port, host_ip="127.0.0.1")
    pages = []
    for page in ("first", "second"):
        sandbox_id = await kit.sandbox(port_mappings=[mapping])
        await kit.run(sandbox_id, *httpd(page, "80"))
        pages.append((await page_at("127.0.0.1", port)).splitlines()[-1].decode())
        await kit.remove_sandbox(sandbox_id)
    return {"pages on a published port": pages}


async def streams(kit: Kit) -> Record:
    """Exec, attach and port-forward, as their URLs work."""
    sandbox_id = await kit.sandbox()
    running = await kit.run(sandbox_id, *httpd("forwarded", "80"))
    runtime = kit.runtime
    said = []
    script = "read line; echo got $line; echo wrong >&2; exit 4"
    for transport in ("websocket", "spdy"):
        wanted = v1.ExecRequest(container_id=running, cmd=shell(script), stdin=True, stdout=True, stderr=True)
        url = (await runtime.exec(wanted)).url
        async with asyncio.timeout(60), open_command(url, transport=cast(Any, transport), stdin=True) as command:
            await command.stdin.write(b"it\n")
            out, err = await asyncio.gather(command.stdout.read_all(100), command.stderr.read_all(100))
            said.append([transport, out.decode(), err.decode(), await command.wait()])
    url = (await runtime.port_forward(v1.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[80]))).url
    local = free_port()
    async with forward_ports(url, [(local, 80)]):
        page = (await page_at("127.0.0.1", local)).splitlines()[-1].decode()
    return {"commands with streams": said, "a page on a forwarded port": page}


async def events(kit: Kit) -> Record:
    """What is told of the life of a sandbox and of a container in it, in the order that it is told in."""
    sentence = "what is told of a sandbox and its container"
    stream = cast(Any, kit.runtime.get_container_events(v1.GetEventsRequest()))
    told: list[list[object]] = []
    async with asyncio.timeout(60), aclosing(stream):
        try:
            await _hears(kit, stream)
        except Unimplemented:
            return {sentence: "Unimplemented"}
        sandbox_id = await kit.sandbox()
        container_id = await kit.run(sandbox_id, *shell("exit 4"))
        names = {sandbox_id: "sandbox", container_id: "container"}
        async for event in stream:
            if who := names.get(event.container_id):
                told.append([who, v1.ContainerEventType.Name(event.container_event_type)])
            if told[-1:] == [["container", "CONTAINER_STOPPED_EVENT"]]:
                told[-1] += [ending(status) for status in event.containers_statuses]
                await kit.remove(container_id)
                await kit.stop_sandbox(sandbox_id)
                await kit.remove_sandbox(sandbox_id)
            if told[-1:] == [["sandbox", "CONTAINER_DELETED_EVENT"]]:
                break
    return {sentence: told}


async def _hears(kit: Kit, stream: AsyncIterator[v1.ContainerEventResponse]) -> None:
    """Nothing says when a subscription has begun, but its first event."""
    first = asyncio.ensure_future(anext(stream))
    sandbox_id = await kit.sandbox()

    async def look() -> bool:
        await kit.remove(await kit.create(sandbox_id))
        return first.done()

    await eventually(look, "the subscription hears something")
    await first
