"""The commands against a running orchestrator: ``minicri up`` on the fake in a process of its own."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from manifests import manifest
from minicri.exits import Exit
from tests.orchestrator.commands import MINICRI, PATIENCE, interpreted, minicri, started
from tests.orchestrator.commands import environment as user_environment

SLEEPER = "name: sleeper\nimage: busybox\ncommand: [sleep, '1000']\nlabels: {app: shop}\nstop: {grace: 1s}\n"
TALKER = "name: talker\nimage: busybox\ncommand: [sh, -c, 'echo one; echo two']\n"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(folder: Path, living: dict[str, str]) -> Iterator[Run]:
    def command(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return minicri(folder, *arguments, stdin=stdin, env=living)

    with started(folder, "up", ready="INFO serving", env=living):
        yield command


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_apply_get_stop_and_delete_tell_the_story_of_a_task(run: Run) -> None:
    assert ok(run("apply", "-f", "-", stdin=SLEEPER)) == "sleeper: created\n"
    assert ok(run("apply", "-f", "-", stdin=SLEEPER)) == "sleeper: unchanged\n"
    assert json.loads(ok(run("get", "-o", "json")))[0]["name"] == "sleeper"
    assert ok(run("stop", "sleeper")) == "sleeper: stopped\n"
    assert json.loads(ok(run("get", "sleeper", "-o", "json")))["state"] == "Completed"
    assert ok(run("delete", "sleeper")) == "sleeper: deleted\n"
    assert ok(run("get")) == ""


def test_get_prints_a_table_with_a_line_for_each_task(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=TALKER))
    ok(run("logs", "-f", "talker"))
    header, line = ok(run("get")).splitlines()
    assert header.split() == ["NAME", "STATE", "READY", "ATTEMPT", "AGE", "EXIT", "REASON"]
    assert line.split()[0] == "talker"
    assert "IMAGE" in ok(run("get", "-o", "wide")).splitlines()[0]


def test_get_imports_neither_a_server_nor_an_engine(run: Run, folder: Path, living: dict[str, str]) -> None:
    ok(run("apply", "-f", "-", stdin=SLEEPER))
    done = interpreted(folder, "get", env={**living, "PYTHONPROFILEIMPORTTIME": "1"})
    assert "sleeper" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "orchestrator.client" in imported
    heavy = "orchestrator.server orchestrator.store manifests.spec cri.server cri.streaming sqlite3 yaml rich docker"
    assert not imported & set(heavy.split())


def test_logs_follow_a_task_to_its_end(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=TALKER))
    assert ok(run("logs", "-f", "talker")) == "one\ntwo\n"
    assert ok(run("logs", "--tail", "1", "talker")) == "two\n"


def test_logs_are_objects_for_who_asked_for_json(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=TALKER))
    lines = [json.loads(line) for line in ok(run("logs", "-f", "-o", "json", "talker")).splitlines()]
    assert [(line["task"], line["stream"], line["text"]) for line in lines] == [
        ("talker", "stdout", "one"),
        ("talker", "stdout", "two"),
    ]


def test_what_was_changed_is_a_list_for_who_asked_for_json(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=SLEEPER))
    for command, change in (("restart", "restarting"), ("stop", "stopped"), ("delete", "deleted")):
        assert json.loads(ok(run(command, "sleeper", "-o", "json"))) == [{"name": "sleeper", "change": change}]


def test_logs_of_several_tasks_carry_their_names(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=f"{TALKER}---\n{TALKER.replace('talker', 'b')}"))
    lines = ok(run("logs", "-f", "talker", "b")).splitlines()
    assert sorted(lines) == ["b      | one", "b      | two", "talker | one", "talker | two"]


def test_an_unknown_task_is_not_found_for_every_command_that_needs_it(run: Run) -> None:
    for command in (("get",), ("describe",), ("logs",), ("stop",), ("restart",), ("export",)):
        done = run(*command, "nobody")
        assert (done.returncode, "nobody" in done.stderr) == (Exit.NOT_FOUND, True), command
        assert "Traceback" not in done.stderr
    assert run("delete", "nobody").returncode == 0


def test_a_refused_restart_has_its_own_exit_code(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=TALKER))
    ok(run("logs", "-f", "talker"))
    ok(run("stop", "talker"))
    done = run("restart", "talker")
    assert done.returncode == Exit.REFUSED
    assert done.stderr.startswith("error: ")


def test_changing_everything_has_to_be_said(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=SLEEPER))
    assert run("delete").returncode == Exit.USAGE
    assert ok(run("delete", "--all")) == "sleeper: deleted\n"


def test_labels_choose_tasks(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=f"{SLEEPER}---\n{TALKER}"))
    found = json.loads(ok(run("get", "-l", "app=shop", "-o", "json")))
    assert [task["name"] for task in found] == ["sleeper"]
    assert run("get", "-l", "app").returncode == Exit.USAGE


def test_events_resume_from_the_last_number_seen(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=TALKER))
    ok(run("logs", "-f", "talker"))
    ok(run("delete", "talker"))
    whole = [json.loads(line) for line in ok(run("events", "-o", "json")).splitlines()]
    assert whole[0]["to"] == "Pending"
    assert whole[-1]["kind"] == "forgotten"
    middle = whole[1]["sequence"]
    resumed = [json.loads(line) for line in ok(run("events", "-o", "json", "--after", str(middle))).splitlines()]
    assert resumed == whole[2:]


def test_describe_says_why(run: Run) -> None:
    ok(run("apply", "-f", "-", stdin=SLEEPER))
    told = ok(run("describe", "sleeper"))
    assert "Why: " in told
    assert "image: busybox" in told
    assert json.loads(ok(run("describe", "sleeper", "-o", "json")))["spec"]["image"] == "busybox"


@pytest.mark.parametrize("form", ["yaml", "json", "toml"])
def test_export_is_what_apply_read(run: Run, folder: Path, form: str) -> None:
    ok(run("apply", "-f", "-", stdin=f"{SLEEPER}---\n{TALKER}"))
    file = folder / f"all.{form}"
    file.write_text(ok(run("export", "-o", form)))
    assert manifest.read(str(file)) == manifest.parse(f"{SLEEPER}---\n{TALKER}", "yaml")
    assert set(ok(run("apply", "-f", str(file))).splitlines()) == {"sleeper: unchanged", "talker: unchanged"}


def test_exec_passes_streams_and_exit_code_through(run: Run) -> None:
    ok(run("apply", "--wait", "-f", "-", stdin=SLEEPER))
    done = run("exec", "-i", "sleeper", "--", "sh", "-c", "cat; echo bad >&2; exit 7", stdin="fed\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "fed\n", "bad\n")


def test_apply_can_wait_until_every_task_runs_or_has_ended(run: Run) -> None:
    ok(run("apply", "--wait", "-f", "-", stdin=f"{SLEEPER}---\n{TALKER}"))
    states = {task["name"]: task["state"] for task in json.loads(ok(run("get", "-o", "json")))}
    assert states["sleeper"] == "Running"
    assert states["talker"] in ("Running", "Completed")


def test_apply_and_wait_exits_with_the_code_of_the_first_task_that_failed(run: Run) -> None:
    failing = TALKER.replace("echo two", "exit 3")
    done = run("apply", "--wait", "-f", "-", "-o", "json", stdin=f"{SLEEPER}---\n{failing}")
    # It may be seen while it still runs; then there is nothing to tell yet.
    row = json.loads(done.stdout)[1]
    assert (row["state"], done.returncode) in [("Failed", 3), ("Running", 0)]
    assert (row["name"], row["change"]) == ("talker", "created")


def test_exec_with_a_terminal_needs_one(run: Run) -> None:
    done = run("exec", "-it", "sleeper", "--", "sh")
    assert done.returncode == Exit.USAGE
    assert "--tty" in done.stderr


def test_a_second_orchestrator_on_the_same_state_is_refused(run: Run) -> None:
    done = run("up", "--listen", "unix:///tmp/minicri-never.sock")
    assert done.returncode == Exit.REFUSED
    assert "Traceback" not in done.stderr


def test_up_applies_a_file_and_ends_on_sigterm_with_success(folder: Path, living: dict[str, str]) -> None:
    (folder / "web.yaml").write_text(SLEEPER)
    with started(folder, "up", "-f", "web.yaml", ready="INFO serving", env=living) as process:
        minicri(folder, "get", "-o", "json", env=living)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "INFO sleeper: created" in process.stderr.read()
    assert not (folder / "o.sock").exists()


def test_a_reader_that_has_seen_enough_ends_a_command_quietly(run: Run, folder: Path, living: dict[str, str]) -> None:
    ok(run("apply", "-f", "-", stdin=f"{SLEEPER}---\n{TALKER}---\n{TALKER.replace('talker', 'b')}"))
    command = shlex.join([*MINICRI, "logs", "-f", "talker", "b"])
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        cwd=folder,
        env=user_environment(folder, **living),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_up_with_a_wrong_file_does_not_start(folder: Path, living: dict[str, str]) -> None:
    (folder / "web.yaml").write_text("name: a\n")
    done = minicri(folder, "up", "-f", "web.yaml", env=living)
    assert (done.returncode, done.stderr) == (Exit.USAGE, "error: web.yaml:1: image: is required\n")
    assert not (folder / "state").exists()
