"""Attach on a real engine, through the URL."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cri.errors import FailedPrecondition, NotFound
from cri.runtime import Runtime
from cri.streaming import TerminalSize
from cri.streaming.client import open_command
from cri.v1 import api_pb2 as v1
from tests.host.images import BUSYBOX
from tests.runtimes import calls
from tests.runtimes.behaviour.hand import RunSandbox
from tests.runtimes.pods import WITHIN, Pod

ECHO = 'while read line; do echo "out $line"; echo "err $line" >&2; done; echo end of input; exit 6'


async def started(runtime: Runtime, sandbox_id: str, script: str, **flags: Any) -> str:
    config = v1.ContainerConfig(
        metadata=v1.ContainerMetadata(name="c"),
        image=v1.ImageSpec(image=BUSYBOX),
        command=["sh", "-c", script],
        **flags,
    )
    request = v1.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config)
    container_id = (await runtime.create_container(request)).container_id
    await runtime.start_container(v1.StartContainerRequest(container_id=container_id))
    return container_id


async def url_for(runtime: Runtime, container_id: str, **flags: bool) -> str:
    wanted = {"stdin": True, "stdout": True, "stderr": not flags.get("tty"), **flags}
    return (await runtime.attach(v1.AttachRequest(container_id=container_id, **wanted))).url


async def test_input_reaches_the_container_and_both_outputs_come_back(
    runtime: Runtime, run_sandbox: RunSandbox
) -> None:
    container = await started(runtime, await run_sandbox(), ECHO, stdin=True)
    async with open_command(await url_for(runtime, container), stdin=True) as attached:
        await attached.stdin.write(b"hello\n")
        assert await calls.read_until(attached.stdout, b"\n") == b"out hello\n"
        assert await calls.read_until(attached.stderr, b"\n") == b"err hello\n"


async def test_leaving_an_attach_leaves_the_container_running_for_the_next(
    runtime: Runtime, run_sandbox: RunSandbox
) -> None:
    container = await started(runtime, await run_sandbox(), ECHO, stdin=True)
    for word in (b"one", b"two"):
        async with open_command(await url_for(runtime, container), stdin=True) as attached:
            await attached.stdin.write(word + b"\n")
            await calls.read_until(attached.stdout, b"out " + word)
    assert (await calls.container_status(runtime, container)).state == v1.CONTAINER_RUNNING


async def test_without_stdin_once_the_end_of_the_clients_input_ends_only_the_attach(
    runtime: Runtime, run_sandbox: RunSandbox
) -> None:
    container = await started(runtime, await run_sandbox(), ECHO, stdin=True)
    async with open_command(await url_for(runtime, container), stdin=True, transport="spdy") as attached:
        await attached.stdin.close()
        async with asyncio.timeout(WITHIN):
            assert await attached.wait() == 0
    assert (await calls.container_status(runtime, container)).state == v1.CONTAINER_RUNNING


async def test_with_stdin_once_the_end_of_the_clients_input_is_the_containers(
    runtime: Runtime, run_sandbox: RunSandbox
) -> None:
    container = await started(runtime, await run_sandbox(), ECHO, stdin=True, stdin_once=True)
    async with open_command(await url_for(runtime, container), stdin=True, transport="spdy") as attached:
        await attached.stdin.write(b"last words\n")
        await attached.stdin.close()
        await calls.read_until(attached.stdout, b"out last words\nend of input\n")
        async with asyncio.timeout(WITHIN):
            await attached.wait()


async def test_the_containers_end_ends_the_attach(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    container = await started(runtime, await run_sandbox(), "while :; do echo tick; sleep 0.1; done")
    async with open_command(await url_for(runtime, container, stdin=False)) as attached:
        await calls.read_until(attached.stdout, b"tick")
        await calls.kill(runtime, container)
        async with asyncio.timeout(WITHIN):
            await attached.stdout.read_all(1000)
            assert await attached.wait() == 0


async def test_two_clients_see_the_same_output(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    script = f"(while :; do echo tick; sleep 0.1; done) & {ECHO}"
    container = await started(runtime, await run_sandbox(), script, stdin=True)
    first, second = await url_for(runtime, container), await url_for(runtime, container, stdin=False)
    async with open_command(second) as reader, open_command(first, stdin=True) as writer:
        await calls.read_until(reader.stdout, b"tick")
        await writer.stdin.write(b"to all\n")
        await asyncio.gather(
            calls.read_until(writer.stdout, b"out to all"), calls.read_until(reader.stdout, b"out to all")
        )


async def test_a_terminal_is_raw_has_one_output_and_the_clients_size(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    container = await started(runtime, await run_sandbox(), "exec sh", stdin=True, tty=True)
    url = await url_for(runtime, container, tty=True)
    async with open_command(url, stdin=True, stderr=False, tty=True, transport="spdy") as attached:
        await attached.resize(TerminalSize(width=99, height=33))
        await attached.stdin.write(b"until stty size | grep '33 99'; do :; done; tty; echo e$((1+1)) >&2\n")
        seen = await calls.read_until(attached.stdout, rb"\ne2\r\n")
        assert b"/dev/pts/" in seen


async def test_output_from_before_the_attach_is_not_repeated(pod: Pod) -> None:
    container = await pod.run(f"echo before; {ECHO}", stdin=True)
    await pod.logged(b"before")
    async with open_command(await url_for(pod.runtime, container), stdin=True) as attached:
        await attached.stdin.write(b"after\n")
        assert await calls.read_until(attached.stdout, b"after\n") == b"out after\n"


async def test_input_for_a_container_without_stdin_is_ignored(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    container = await started(runtime, await run_sandbox(), "cat; sleep 1; echo $?; sleep 1000")
    async with open_command(await url_for(runtime, container), stdin=True, transport="spdy") as attached:
        await attached.stdin.write(b"not heard\n")
        await attached.stdin.close()
        assert await calls.read_until(attached.stdout, b"\n") == b"0\n"


async def test_no_url_is_given_for_a_container_that_does_not_run(runtime: Runtime, run_sandbox: RunSandbox) -> None:
    created = await calls.create(runtime, await run_sandbox(), "sleep", "1000")
    with pytest.raises(FailedPrecondition, match="created, not running"):
        await url_for(runtime, created)
    with pytest.raises(NotFound):
        await url_for(runtime, "0" * 64)
