"""What a person at a terminal sees, and what a pipe gets in its place. On the fake and on Docker, under a real pty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from cri.errors import FailedPrecondition
from minicri.terminal import refuse_strange_loopback
from tests.cri.conftest import write_tls
from tests.host.engines import DockerEngine
from tests.orchestrator.commands import minicri, started
from tests.orchestrator.terminal import terminal

SLEEPER = "name: sleeper\nimage: busybox\ncommand: [sleep, '1000']\n"
TALKER = "name: talker\nimage: busybox\ncommand: [sh, -c, 'echo one; sleep 1000']\n"
SHOW_CURSOR = b"\x1b[?25h"
HIDE_CURSOR = b"\x1b[?25l"


@pytest.fixture
def up(folder: Path, living: dict[str, str]) -> Iterator[None]:
    """An orchestrator on which ``sleeper`` runs."""
    (folder / "sleeper.yaml").write_text(SLEEPER)
    with started(folder, "up", ready="INFO serving", env=living):
        assert minicri(folder, "apply", "--wait", "-f", "sleeper.yaml", env=living).returncode == 0
        yield


@pytest.mark.usefixtures("up")
def test_get_watch_is_a_table_that_moves_until_ctrl_c(folder: Path, living: dict[str, str]) -> None:
    with terminal(folder, "get", "-w", env=living) as screen:
        screen.wait_for("Running")
        minicri(folder, "stop", "sleeper", env=living)
        screen.wait_for("Completed")
        screen.type("\x03")
        assert screen.end() == 130
    assert screen.raw.rindex(SHOW_CURSOR) > screen.raw.rindex(HIDE_CURSOR)
    assert "Traceback" not in screen.shown


@pytest.mark.usefixtures("up")
def test_get_watch_in_a_pipe_is_a_line_for_each_event(folder: Path, living: dict[str, str]) -> None:
    with started(folder, "get", "-w", ready="sleeper", env=living, on="stdout") as watching:
        minicri(folder, "delete", "sleeper", env=living)
        assert watching.stdout is not None
        said = ""
        while "forgotten" not in said:
            said += watching.stdout.readline()
    assert "Running -> Completed" in said
    assert "\x1b" not in said


@pytest.mark.usefixtures("up")
def test_exec_with_a_terminal_is_a_shell_of_the_right_size(folder: Path, living: dict[str, str]) -> None:
    with terminal(folder, "exec", "-it", "sleeper", "--", "sh", env=living, columns=120, lines=30) as screen:
        found = screen.modes()
        screen.type("stty size\r")
        screen.wait_for("30 120")
        assert screen.modes() != found
        screen.resize(columns=90, lines=20)
        screen.ask("stty size\r", until="20 90")
        screen.type("exit 5\r")
        assert screen.end() == 5
        assert screen.modes() == found


@pytest.mark.usefixtures("up")
def test_ctrl_c_goes_to_the_command_and_not_to_exec(folder: Path, living: dict[str, str]) -> None:
    with terminal(folder, "exec", "-it", "sleeper", "--", "sh", "-c", "echo ready; sleep 1000", env=living) as screen:
        found = screen.modes()
        screen.wait_for("ready")
        screen.type("\x03")
        assert screen.end() == 130
        assert screen.modes() == found
    assert "Traceback" not in screen.shown


@pytest.mark.usefixtures("up")
def test_the_terminal_is_as_it_was_when_the_task_ends_under_exec(folder: Path, living: dict[str, str]) -> None:
    with terminal(folder, "exec", "-it", "sleeper", "--", "sh", "-c", "echo ready; sleep 1000", env=living) as screen:
        found = screen.modes()
        screen.wait_for("ready")
        minicri(folder, "stop", "sleeper", env=living)
        assert screen.end() != 0
        assert screen.modes() == found
    assert "Traceback" not in screen.shown


def test_exec_with_a_terminal_is_the_same_on_a_real_engine(
    folder: Path, living: dict[str, str], docker_engine: DockerEngine
) -> None:
    env = {**living, "MINICRI_RUNTIME": "docker", "DOCKER_HOST": docker_engine.address}
    (folder / "sleeper.yaml").write_text(SLEEPER + "stop: {grace: 0}\n")
    with started(folder, "up", ready="INFO serving", env=env):
        try:
            assert minicri(folder, "apply", "--wait", "-f", "sleeper.yaml", env=env).returncode == 0
            with terminal(folder, "exec", "-it", "sleeper", "--", "sh", env=env, columns=120, lines=30) as screen:
                found = screen.modes()
                screen.wait_for("# ")
                screen.type("stty size\r")
                screen.wait_for("30 120")
                screen.type("echo he''re; sleep 1000\r")
                screen.wait_for("here")  # as printed and not as typed: the shell reads no more keys
                screen.type("\x03")
                screen.wait_for("# ")
                screen.type("exit 5\r")
                assert screen.end() == 5
                assert screen.modes() == found
        finally:
            assert minicri(folder, "delete", "--all", env=env).returncode == 0


def test_exec_shows_its_certificate_where_streams_ask_for_one(folder: Path, living: dict[str, str]) -> None:
    authority = trustme.CA()
    tls = write_tls(folder / "tls", authority, authority, "127.0.0.1").model_dump(include={"cert", "key", "ca"})
    served = {f"MINICRI_RUNTIMES__FAKE__STREAMING_TLS__{key.upper()}": str(path) for key, path in tls.items()}
    shown = {f"MINICRI_ORCHESTRATOR__TLS__{key.upper()}": str(path) for key, path in tls.items()}
    (folder / "sleeper.yaml").write_text(SLEEPER)
    with started(folder, "up", ready="INFO serving", env=living | served):
        assert minicri(folder, "apply", "--wait", "-f", "sleeper.yaml", env=living).returncode == 0
        assert minicri(folder, "exec", "sleeper", "--", "sh", "-c", "exit 5", env=living).returncode == 4
        assert minicri(folder, "exec", "sleeper", "--", "sh", "-c", "exit 5", env=living | shown).returncode == 5


def test_exec_says_when_streams_lead_to_another_hosts_loopback() -> None:
    with pytest.raises(FailedPrecondition, match=r"box\.example:7000 streams on its own loopback.*streaming_tls"):
        refuse_strange_loopback("http://127.0.0.1:4321/exec/token", "box.example:7000")
    for url, listen in (
        ("http://127.0.0.1:4321/exec/token", "unix:///run/o.sock"),
        ("http://127.0.0.1:4321/exec/token", "localhost:7000"),
        ("https://box.example:4321/exec/token", "box.example:7000"),
    ):
        refuse_strange_loopback(url, listen)


def test_run_shows_the_pull_as_a_bar_and_then_only_the_output(folder: Path) -> None:
    (folder / "talker.yaml").write_text(TALKER)
    with terminal(folder, "run", "-f", "talker.yaml") as screen:
        screen.wait_for("docker.io/library/busybox:latest")
        screen.wait_for("talker: Running")
        screen.wait_for("one")
        screen.type("\x03")
        screen.wait_for("SIGINT: stopping")
        assert screen.end() == 130
    assert screen.raw.rindex(SHOW_CURSOR) > screen.raw.rindex(HIDE_CURSOR)
    assert "Traceback" not in screen.shown


def test_a_second_ctrl_c_does_not_wait_for_who_ignores_the_first(folder: Path) -> None:
    deaf = TALKER.replace("echo one; sleep 1000", 'trap "" TERM; echo one; while true; do sleep 1; done')
    (folder / "deaf.yaml").write_text(f"{deaf}stop: {{grace: 1000s}}\n")
    with terminal(folder, "run", "-f", "deaf.yaml") as screen:
        screen.wait_for("talker: Running")
        screen.wait_for("one")
        screen.type("\x03")
        screen.wait_for("SIGINT: stopping")
        screen.type("\x03")
        screen.wait_for("killing what still runs")
        assert screen.end() == 130


def test_run_in_a_pipe_is_plain_lines(folder: Path) -> None:
    done = minicri(folder, "run", "-f", "-", stdin=TALKER.replace("sleep 1000", "exit 3"))
    assert done.returncode == 3
    assert done.stdout == "one\n"
    assert "-- pulling docker.io/library/busybox:latest\n" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
