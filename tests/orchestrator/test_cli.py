"""The commands that need no running orchestrator, and what every command promises about errors and exit codes."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from cri import errors
from cri.errors import CRIError
from minicri.exits import Exit, exit_for, exit_of_tasks
from tests.orchestrator.commands import interpreted as minicri
from tests.orchestrator.commands import started

GOOD = "name: hello\nimage: busybox\ncommand: [echo, hello]\n"


def every_error() -> list[type[CRIError]]:
    found = [CRIError]
    for kind in found:
        found += kind.__subclasses__()
    return found


def test_help_names_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    done = minicri(tmp_path, "--help")
    assert done.returncode == 0
    commands = (
        "run up apply diff get describe logs exec stop restart delete scale rollback rollout events export orphans "
        "serve runtimes schema config"
    )
    assert all(f"  {command} " in done.stdout for command in commands.split())
    assert "Exit codes: 0 done" in done.stdout


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    done = minicri(tmp_path, "--help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not imported & {"grpc", "pydantic", "yaml", "rich", "docker", "cri.v1.api_pb2", "cri.runtime"}


def test_a_wrong_flag_is_a_wrong_usage(tmp_path: Path) -> None:
    done = minicri(tmp_path, "get", "--nonsense")
    assert done.returncode == Exit.USAGE
    assert "--nonsense" in done.stderr


def test_nothing_running_is_unavailable_and_says_what_to_start(tmp_path: Path) -> None:
    done = minicri(tmp_path, "get", "--address", f"unix://{tmp_path}/o.sock")
    assert done.returncode == Exit.UNAVAILABLE
    assert done.stderr == f"error: no orchestrator answers at unix://{tmp_path}/o.sock; start one with: minicri up\n"


def test_an_error_is_an_object_for_who_asked_for_json(tmp_path: Path) -> None:
    done = minicri(tmp_path, "get", "-o", "json", "--address", f"unix://{tmp_path}/o.sock")
    told = json.loads(done.stderr)["error"]
    assert (told["code"], told["reason"], told["exit"]) == ("UNAVAILABLE", "UNAVAILABLE", done.returncode)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    done = minicri(tmp_path, "run", "-f", "nothing.yaml")
    assert (done.returncode, done.stderr) == (Exit.NOT_FOUND, "error: nothing.yaml: No such file or directory\n")


def test_a_folder_in_place_of_a_file_is_one_line(tmp_path: Path) -> None:
    done = minicri(tmp_path, "run", "-f", ".")
    assert (done.returncode, done.stderr) == (Exit.USAGE, "error: .: Is a directory\n")


def test_every_problem_of_a_manifest_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("name: Web\nimage: busybox\ncomand: [ls]\n")
    done = minicri(tmp_path, "run", "-f", "web.yaml")
    assert done.returncode == Exit.USAGE
    assert [line.partition(": ")[2].split(": ")[1] for line in done.stderr.splitlines()] == ["name", "comand"]
    assert "Traceback" not in done.stderr


def test_apply_finds_a_wrong_manifest_without_asking_anyone(tmp_path: Path) -> None:
    done = minicri(tmp_path, "apply", "-f", "-", stdin="name: a\n")
    assert (done.returncode, done.stderr) == (Exit.USAGE, "error: <stdin>:1: image: is required\n")


def test_an_unknown_runtime_names_the_nearest_one(tmp_path: Path) -> None:
    done = minicri(tmp_path, "serve", "--runtime", "dokcer")
    assert done.returncode == Exit.USAGE
    assert "did you mean 'docker'?" in done.stderr


def test_an_unknown_key_of_the_configuration_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "minicri.toml").write_text("[orchestrator]\nrelst = 3\n")
    done = minicri(tmp_path, "config", "show")
    assert done.returncode == Exit.USAGE
    assert "orchestrator.relst: unknown key; did you mean 'relist'?" in done.stderr


def test_config_show_says_where_each_value_came_from(tmp_path: Path) -> None:
    (tmp_path / "minicri.toml").write_text('[orchestrator]\nrelist = 3\n[log]\nlevel = "debug"\n')
    done = minicri(tmp_path, "config", "show", "-o", "json", env={"MINICRI_LOG__LEVEL": "error"})
    shown = json.loads(done.stdout)
    assert shown["orchestrator.relist"] == {"value": 3.0, "source": "minicri.toml"}
    assert shown["log.level"] == {"value": "error", "source": "environment MINICRI_LOG__LEVEL"}
    assert shown["grace"] == {"value": 30.0, "source": "default"}


def test_runtimes_lists_every_installed_one_with_its_reason(tmp_path: Path) -> None:
    done = minicri(tmp_path, "runtimes", "-o", "json", env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert found["fake"]["available"]
    assert not found["fake"]["auto"]
    assert not found["docker"]["available"]
    assert "none.sock" in found["docker"]["detail"]


def test_runtimes_says_why_auto_takes_one_and_not_another(tmp_path: Path) -> None:
    done = minicri(tmp_path, "runtimes", env={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    header, *lines = done.stdout.split("\n\n")[0].splitlines()
    assert header.split() == ["NAME", "ANSWERS", "VERSION", "API", "AUTO", "WHY"]
    told = {line.split()[0]: line for line in lines}
    assert "none.sock" in told["docker"]
    assert "auto never takes it, so name it" in told["fake"]
    assert "address: is required" in told["remote"]


def test_schema_is_one_that_a_good_manifest_satisfies(tmp_path: Path) -> None:
    schema = json.loads(minicri(tmp_path, "schema").stdout)
    jsonschema.validate({"name": "a", "image": "b", "restart": "always"}, schema)


def test_serve_answers_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with started(
        tmp_path, "serve", "--runtime", "fake", "--listen", f"unix://{tmp_path}/cri.sock", ready="INFO serving"
    ) as one:
        done = minicri(
            tmp_path, "runtimes", "-o", "json", env={"MINICRI_RUNTIMES__REMOTE__ADDRESS": f"unix://{tmp_path}/cri.sock"}
        )
        found = {each["name"]: each for each in json.loads(done.stdout)}
        assert found["remote"]["available"]
        one.send_signal(signal.SIGTERM)
        assert one.wait(30) == 0
    assert not (tmp_path / "cri.sock").exists()


COMMAND = """
import asyncio
from minicri.running import execute

async def work():
    try:
        print("begun", flush=True)
        await asyncio.Event().wait()
    finally:
        print("put away", flush=True)

execute(work())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_told_to_end_puts_away_what_it_made(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "begun\n"
        command.send_signal(number)
        assert command.stdout.read() == "put away\n"


@pytest.fixture
def few_files() -> Iterator[int]:
    """A low soft limit of open files for what is started meanwhile; the answer is the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1000), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_serve_may_open_as_many_files_as_the_system_allows(few_files: int, tmp_path: Path) -> None:
    with started(tmp_path, "serve", "--listen", f"unix://{tmp_path}/cri.sock", ready="INFO serving") as process:
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (few_files, few_files)


def test_serve_refuses_a_place_where_another_one_listens(tmp_path: Path) -> None:
    at = ("serve", "--listen", f"unix://{tmp_path}/cri.sock")
    with started(tmp_path, *at, ready="INFO serving"):
        done = minicri(tmp_path, *at)
    assert done.returncode == Exit.REFUSED


def test_serve_refuses_plaintext_on_the_network_unless_told(tmp_path: Path) -> None:
    done = minicri(tmp_path, "serve", "--listen", "127.0.0.1:0")
    assert done.returncode == Exit.USAGE
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_documented_exit_code(kind: type[CRIError]) -> None:
    expected_failed = (errors.Unknown, errors.Internal, errors.Cancelled, errors.DataLoss)
    assert (exit_for(kind("x")) is Exit.FAILED) == (kind is CRIError or issubclass(kind, expected_failed))


def test_run_exits_with_the_code_of_the_first_task_that_failed() -> None:
    assert exit_of_tasks([0, 0]) == 0
    assert exit_of_tasks([0, 3, 7]) == 3
    assert exit_of_tasks([None, 3]) == Exit.NEVER_RAN


def test_the_readme_lists_every_exit_code() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    table = readme.partition("## Exit codes")[2]
    assert all(f"| {int(code)} |" in table or f"{int(code)} is" in table for code in Exit)


def test_the_readme_lists_every_setting() -> None:
    from minicri.settings import MinicriSettings, OrchestratorSettings

    table = (
        (Path(__file__).parents[2] / "README.md").read_text().partition("## Configuration")[2].partition("## Exit")[0]
    )
    assert all(f"`{name}" in table for name in MinicriSettings.model_fields if name != "orchestrator")
    assert all(f".{name}`" in table for name in OrchestratorSettings.model_fields)
