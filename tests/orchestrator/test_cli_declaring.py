"""Declaring through the command: what differs, what is pruned, rolled out, scaled and rolled back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minicri.exits import Exit
from tests.orchestrator.commands import minicri, started

WEB = "name: web\nimage: busybox:1\ncommand: [sleep, '1000']\nstop: {grace: 0s}\n"
DB = WEB.replace("web", "db")
NO_SUCH_IMAGE = '[[runtimes.fake.calls]]\ncall = "PullImage"\nimage = "busybox:broken"\nerror = "NOT_FOUND"\n'

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(folder: Path, living: dict[str, str]) -> Iterator[Run]:
    """Commands of one user in one folder; the registry has no image ``busybox:broken``."""
    (folder / "minicri.toml").write_text(NO_SUCH_IMAGE)

    def command(*arguments: str, shop: str | None = None) -> subprocess.CompletedProcess[str]:
        if shop is not None:
            (folder / "shop.yaml").write_text(shop)
        return minicri(folder, *arguments, env=living)

    with started(folder, "up", ready="INFO serving", env=living):
        yield command


def ok(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


APPLY = ("apply", "-f", "shop.yaml")
WAIT = (*APPLY, "--wait")


def known(run: Run) -> dict[str, str]:
    return {task["name"]: task["spec"]["image"] for task in json.loads(ok(run("get", "-o", "json")))}


def test_a_dry_run_says_what_would_happen_and_does_nothing(run: Run) -> None:
    assert ok(run(*APPLY, "--dry-run", shop=WEB)) == "web: would be created\n"
    assert known(run) == {}


def test_diff_says_field_by_field_what_apply_would_change(run: Run) -> None:
    ok(run(*APPLY, shop=WEB))
    assert run("diff", "-f", "shop.yaml").returncode == 0
    done = run("diff", "-f", "shop.yaml", shop=WEB.replace("busybox:1", "busybox:2") + f"---\n{DB}")
    assert done.returncode == Exit.DIFFERS
    assert done.stdout == "web: changed\n  image: 'busybox:1' -> 'busybox:2'\ndb: created\n"
    assert known(run) == {"web": "busybox:1"}


def test_diff_is_a_list_for_who_asked_for_json(run: Run) -> None:
    ok(run(*APPLY, shop=WEB))
    [row] = json.loads(run("diff", "-f", "shop.yaml", "-o", "json", shop=WEB + "env: {A: b}\n").stdout)
    assert (row["name"], row["change"], row["differences"]) == ("web", "changed", ["env: nothing -> {'A': 'b'}"])


def test_prune_deletes_what_the_file_no_longer_declares_and_nothing_else(run: Run, folder: Path) -> None:
    (folder / "other.yaml").write_text(WEB.replace("web", "other"))
    ok(run("apply", "-f", "other.yaml"))
    ok(run(*APPLY, shop=f"{WEB}---\n{DB}"))
    ok(run(*APPLY, shop=WEB))
    assert sorted(known(run)) == ["db", "other", "web"]
    assert ok(run(*APPLY, "--prune")) == "web: unchanged\ndb: removed: no longer declared\n"
    ok(run("delete", "db"))  # waits until nothing is left of it
    assert sorted(known(run)) == ["other", "web"]


def test_a_changed_spec_reaches_every_replica(run: Run) -> None:
    ok(run(*WAIT, shop=WEB + "replicas: 3\n"))
    said = ok(run(*WAIT, shop=WEB.replace("busybox:1", "busybox:2") + "replicas: 3\n"))
    assert [line.split(":")[0] for line in said.splitlines()] == ["web-0", "web-1", "web-2"]
    assert known(run) == {f"web-{number}": "busybox:2" for number in range(3)}


def test_a_rollout_that_fails_is_rolled_back_and_apply_says_so(run: Run) -> None:
    ok(run(*WAIT, shop=WEB + "replicas: 2\n"))
    done = run(*WAIT, shop=WEB.replace("busybox:1", "busybox:broken") + "replicas: 2\n")
    assert done.returncode == Exit.NOT_ROLLED_OUT
    assert "error: web is rolled-back: revision 2 failed: web-surge-0 failed for good" in done.stderr
    assert known(run) == {"web-0": "busybox:1", "web-1": "busybox:1"}
    assert run("rollout", "status").returncode == Exit.NOT_ROLLED_OUT


def test_the_history_tells_of_a_rollout_that_failed(run: Run) -> None:
    ok(run(*WAIT, shop=WEB + "replicas: 1\n"))
    run(*WAIT, shop=WEB.replace("busybox:1", "busybox:broken") + "replicas: 1\n")
    told = ok(run("events", "web"))
    assert [line.split()[4].rstrip(":") for line in told.splitlines()] == [
        "RolledOut",
        "RollingOut",
        "RollingBack",
        "RolledOut",
    ]


def test_scale_changes_the_number_of_replicas_and_nothing_else(run: Run) -> None:
    ok(run(*WAIT, shop=WEB + "replicas: 1\n"))
    before = json.loads(ok(run("get", "web-0", "-o", "json")))["container_id"]
    assert ok(run("scale", "web", "3", "--wait")) == (
        "web-0: unchanged, Running\nweb-1: created, Running\nweb-2: created, Running\n"
    )
    assert json.loads(ok(run("get", "web-0", "-o", "json")))["container_id"] == before
    assert ok(run("scale", "web", "0", "--wait")).count("removed") == 3
    assert json.loads(ok(run("rollout", "status", "-o", "json")))[0]["wanted"] == 0


def test_scale_of_an_unknown_name_is_not_found(run: Run) -> None:
    assert run("scale", "nobody", "3").returncode == Exit.NOT_FOUND


def test_rollback_brings_an_earlier_revision_back(run: Run) -> None:
    for number in (1, 2, 3):
        ok(run(*WAIT, shop=WEB.replace("busybox:1", f"busybox:{number}")))
    ok(run("rollback", "web", "--wait"))
    assert known(run) == {"web": "busybox:2"}
    ok(run("rollback", "web", "--to", "1", "--wait"))
    assert known(run) == {"web": "busybox:1"}
    told = json.loads(ok(run("rollout", "history", "web", "-o", "json")))
    assert [(one["revision"], one["image"], one["cause"]) for one in told] == [
        (1, "busybox:1", "apply"),
        (2, "busybox:2", "apply"),
        (3, "busybox:3", "apply"),
        (4, "busybox:2", "rolled back to revision 2"),
        (5, "busybox:1", "rolled back to revision 1"),
    ]


def test_rollback_keeps_the_scale(run: Run) -> None:
    for number in (1, 2):
        ok(run(*WAIT, shop=WEB.replace("busybox:1", f"busybox:{number}") + "replicas: 1\n"))
    ok(run("scale", "web", "3", "--wait"))
    ok(run("rollback", "web", "--wait"))
    assert known(run) == {"web-0": "busybox:1", "web-1": "busybox:1", "web-2": "busybox:1"}


def test_rollback_without_an_earlier_revision_is_refused(run: Run) -> None:
    ok(run(*APPLY, shop=WEB))
    done = run("rollback", "web")
    assert (done.returncode, done.stderr) == (
        Exit.REFUSED,
        "error: 'web' has no earlier revision that was good; before 1 it has none\n",
    )


def test_a_replica_that_was_deleted_is_made_anew_and_a_deleted_name_is_not(run: Run) -> None:
    ok(run(*WAIT, shop=WEB + "replicas: 2\n"))
    ok(run("delete", "web-1"))
    ok(run("rollout", "status", "--wait"))
    ok(run(*WAIT))
    assert sorted(known(run)) == ["web-0", "web-1"]
    ok(run("delete", "web"))
    assert known(run) == {}
    assert ok(run("rollout", "status")).splitlines()[1:] == []


def test_a_name_that_is_a_replica_of_another_is_refused(run: Run) -> None:
    ok(run(*APPLY, shop=WEB + "replicas: 2\n"))
    done = run(*APPLY, shop=WEB.replace("web", "web-1"))
    assert done.returncode == Exit.REFUSED
    assert done.stdout == "web-1: rejected: 'web-1' is a task of 'web'; choose another name\n"
