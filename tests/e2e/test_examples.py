"""The examples on every engine, by configuration alone: the same command, the same results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.conformance.kit import free_port
from tests.e2e.engines import EXAMPLES, Configured
from tests.orchestrator.commands import PATIENCE, environment, minicri, started

COUNTED = ["count | counting 1", "count | counting 2", "count | counting 3"]


def run(engine: Configured, manifest: str, *more: str) -> subprocess.CompletedProcess[str]:
    return minicri(engine.folder, "run", "-f", manifest, "--config", str(engine.file), *more, env=engine.variables)


def page(port: int) -> str:
    """What the example's server answers, once it is up."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_the_web_example_serves_its_page_until_it_is_told_to_stop(engine: Configured) -> None:
    port = free_port()
    manifest = engine.example("web.yaml", _8080=str(port))
    command = ("run", "-f", manifest, "--config", str(engine.file))
    with started(engine.folder, *command, ready="web: Running", env=engine.variables) as process:
        assert page(port) == "<h1>Hello from minicri</h1>\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)


@pytest.mark.parametrize("form", ["yaml", "toml"])
def test_the_batch_example_tries_again_and_exits_with_the_first_failure(engine: Configured, form: str) -> None:
    ended = run(engine, engine.example(f"batch.{form}"))
    assert ended.returncode == 3, ended.stderr
    lines = ended.stdout.splitlines()
    assert [line for line in lines if line.startswith("count")] == COUNTED
    assert [line for line in lines if line.startswith("flaky")] == ["flaky | trying"] * 3
    assert "once: Failed with code 1" in ended.stderr


def test_the_platform_example_runs_for_the_platform_it_names(engine: Configured) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the example is for x86-64")
    ended = run(engine, engine.example("platform.json"))
    assert (ended.returncode, ended.stdout) == (0, "x86_64\n"), ended.stderr


def test_the_network_example_finds_its_server_by_address_alias_and_hosts_file(engine: Configured) -> None:
    subnet = f"10.77.{os.getpid() % 250}"
    swaps = {"10_77_0": subnet, "minicri-example": f"minicri-example-{os.getpid()}"}
    manifest = engine.example("network.yaml", **swaps)
    command = ("run", "-f", manifest, "--config", str(engine.file))
    with started(engine.folder, *command, ready="client: Completed", env=engine.variables) as process:
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=PATIENCE)
    said = [line for line in printed.splitlines() if line.startswith("client") and "served" in line]
    assert said[-3:] == ["client | served by the-server"] * 3


@pytest.mark.parametrize(
    ("program", "last"),
    [("library_sync.py", "exit code 0: hello"), ("library_async.py", "hello: Completed, exit code 0")],
)
def test_an_example_program_runs_on_the_engine_it_is_told(engine: Configured, program: str, last: str) -> None:
    if why := engine.engine.lacks.get(program):
        pytest.skip(f"{engine.runtime}: {why}")
    ended = subprocess.run(
        [sys.executable, EXAMPLES / program, engine.named],
        env=environment(engine.folder, **engine.variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith(f"on {engine.product} ")
    assert lines[-1] == last
