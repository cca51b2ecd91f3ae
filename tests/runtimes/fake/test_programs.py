"""The programs that every fake container has, and those that a test brings."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.fake.clock import ManualClock
from runtimes.fake.config import FakeConfig
from runtimes.fake.images import ImageSpec
from runtimes.fake.process import Process
from runtimes.fake.runtime import FakeRuntime
from tests.runtimes.fake.calls import Calls


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("seq 3", "1\n2\n3\n"),
        ("seq 1 2 5", "1\n3\n5\n"),
        ("seq 5 | head -n 2", "1\n2\n"),
        ("seq 5 | tail -n 2", "4\n5\n"),
        ("yes | head -n 2", "y\ny\n"),
        ("yes abc | head -c 5", "abc\na"),
        ("printf '%s-%d\\n' a 1 b 2", "a-1\nb-2\n"),
        ("echo -e 'a\\tb'; echo -n c", "a\tb\nc"),
        ("mkdir -p /a/b; touch /a/b/c; ls /a/b", "c\n"),
        ("echo x > /tmp/x; rm /tmp/x; test -e /tmp/x || echo gone", "gone\n"),
        ("printf 'a\\nb\\n' | grep -v a", "b\n"),
        ("echo hi | tee /tmp/t >/dev/null; cat /tmp/t", "hi\n"),
        ("printf 'a b\\nc\\n' | wc -w", "3\n"),
        ("id -u; id -un", "0\nroot\n"),
        ("basename /a/b.c", "b.c\n"),
        ("busybox echo applet", "applet\n"),
        ("[ -d /tmp ] && [ -f /etc/passwd ] && [ a != b ] && [ 2 -gt 1 ] && echo all", "all\n"),
    ],
)
async def test_a_program_prints_what_busybox_prints(calls: Calls, script: str, output: str) -> None:
    assert await calls.sh(script) == (0, output, "")


@pytest.mark.parametrize(
    "script", ["cat /no/such/file", "ls /none", "rm /none", "sleep soon", "wget http://nowhere/", "kill 99"]
)
async def test_a_program_that_fails_says_so_and_ends_with_1(calls: Calls, script: str) -> None:
    code, output, errors = await calls.sh(script)
    assert (code, output) == (1, "")
    assert errors.startswith(script.partition(" ")[0])


async def test_sleep_takes_the_clocks_time(calls: Calls, clock: ManualClock) -> None:
    container = await calls.run("sleep", "1h")
    await clock.advance(3599)
    assert container.running
    await clock.advance(1)
    assert container.reason == "Completed"


async def test_tail_of_zeros_runs_out_of_memory(calls: Calls) -> None:
    limits = v1.LinuxContainerResources(memory_limit_in_bytes=8 * 1024 * 1024)
    container = await calls.done("tail", "/dev/zero", linux=v1.LinuxContainerConfig(resources=limits))
    assert (container.exit_code, container.reason) == (137, "OOMKilled")


async def test_kill_from_inside_does_not_reach_the_first_process_with_sigkill(calls: Calls) -> None:
    container = await calls.run("sleep", "1000")
    await calls.exec(container, "kill", "-9", "1")
    assert container.running
    await calls.exec(container, "kill", "1")
    await container.ended
    assert container.exit_code == 143


async def test_the_kernels_rule_for_the_first_process_can_be_had(tmp_path: Path, clock: ManualClock) -> None:
    config = FakeConfig(init_ignores_signals=True, preloaded=("busybox",))
    async with FakeRuntime.open(config, clock=clock) as runtime:
        calls = Calls(runtime, tmp_path)
        container = await calls.run("sleep", "1000")
        container.kill(signal.SIGTERM)
        await asyncio.sleep(0)
        assert container.running


async def test_a_program_of_the_tests_own_runs_in_a_container(calls: Calls) -> None:
    async def greet(process: Process) -> int:
        await process.out(f"hello {' '.join(process.args[1:])} from {process.env['PLACE']}\n")
        process.allocate(1000)
        return 9

    calls.runtime.world.programs.register("greet", greet)
    code, output, _ = await calls.sh("PLACE=here greet you")
    assert (code, output) == (9, "hello you from here\n")


async def test_a_program_with_a_bug_ends_with_1_and_a_traceback(calls: Calls) -> None:
    async def broken(process: Process) -> int:
        raise ValueError("boom")

    calls.runtime.world.programs.register("broken", broken)
    code, _, errors = await calls.sh("broken")
    assert code == 1
    assert errors.endswith("ValueError: boom\n")


async def test_any_command_of_a_made_up_image_waits_for_sigterm(calls: Calls) -> None:
    await calls.pull("example.com/shop/server:2")
    container = await calls.run(image="example.com/shop/server:2")
    assert container.running
    await calls.stop(container, 10)
    assert container.reason == "Completed"


async def test_a_declared_image_brings_files_command_and_environment(calls: Calls) -> None:
    spec = ImageSpec(
        name="shop", entrypoint=("sh", "-c"), cmd=("cat $FILE",), env={"FILE": "/f"}, files={"/f": "text\n"}
    )
    calls.runtime.world.catalogue.declare(spec)
    await calls.pull("shop")
    container = await calls.done(image="shop")
    assert [record.text for record in calls.log(container)] == [b"text"]


async def test_mounts_show_files_of_the_hosts_memory(calls: Calls) -> None:
    calls.runtime.world.host_files.write("/data/in", b"seen\n")
    mounts = [
        v1.Mount(host_path="/data", container_path="/mnt", readonly=True),
        v1.Mount(host_path="/out", container_path="/out"),
    ]
    code, output, errors = await calls.sh("cat /mnt/in; echo x > /out/y; echo z > /mnt/in", mounts=mounts)
    assert (code, output) == (1, "seen\n")
    assert "Read-only" in errors
    assert calls.runtime.world.host_files.files["/out/y"] == b"x\n"
