"""Seccomp filters that are compiled once."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from runtimes.native.oci.compiled import ANNOTATION, CompiledFilters
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import Profile, config, context, spec

CODE = bytes(16)
RUNTIME = Path("/bin/true")


def filtered(*names: str) -> dict[str, Any]:
    """A config with a filter that refuses these system calls."""
    rules = [{"names": list(names), "action": "SCMP_ACT_ERRNO"}]
    return spec() | {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}}}


@pytest.fixture
def filters(tmp_path: Path) -> CompiledFilters:
    return CompiledFilters(tmp_path / "filters", RUNTIME)


def state(tmp_path: Path, code: bytes | None = CODE) -> Path:
    """A runtime's directory for a container."""
    folder = tmp_path / "state"
    folder.mkdir(exist_ok=True)
    if code is not None:
        (folder / "seccomp.bpf").write_bytes(code)
    return folder


def used(filters: CompiledFilters, made: dict[str, Any]) -> bytes:
    filters.use(made)
    return base64.b64decode(made.get("annotations", {}).get(ANNOTATION, ""))


def test_a_filter_is_used_for_the_next_container_with_the_same(filters: CompiledFilters, tmp_path: Path) -> None:
    assert used(filters, filtered("mkdir")) == b""
    filters.learn(filtered("mkdir"), state(tmp_path))
    assert used(filters, filtered("mkdir")) == CODE
    assert used(filters, filtered("rmdir")) == b""


def test_another_process_of_the_engine_finds_it(filters: CompiledFilters, tmp_path: Path) -> None:
    filters.learn(filtered("mkdir"), state(tmp_path))
    assert used(CompiledFilters(tmp_path / "filters", RUNTIME), filtered("mkdir")) == CODE


def test_another_runtime_compiles_its_own(filters: CompiledFilters, tmp_path: Path) -> None:
    filters.learn(filtered("mkdir"), state(tmp_path))
    assert used(CompiledFilters(tmp_path / "filters", Path("/bin/false")), filtered("mkdir")) == b""


@pytest.mark.parametrize("code", [None, b"", b"1234567", bytes(4097 * 8)])
def test_what_is_no_filter_is_not_kept(filters: CompiledFilters, tmp_path: Path, code: bytes | None) -> None:
    filters.learn(filtered("mkdir"), state(tmp_path, code))
    assert used(filters, filtered("mkdir")) == b""


def test_a_damaged_file_is_not_used(filters: CompiledFilters, tmp_path: Path) -> None:
    filters.learn(filtered("mkdir"), state(tmp_path))
    (kept,) = (tmp_path / "filters").iterdir()
    kept.write_bytes(CODE[:-1])
    assert used(filters, filtered("mkdir")) == b""


def test_a_filter_that_somebody_listens_to_is_compiled_each_time(filters: CompiledFilters, tmp_path: Path) -> None:
    made = filtered("mkdir")
    made["linux"]["seccomp"]["listenerPath"] = "/run/listener"
    filters.learn(made, state(tmp_path))
    assert used(filters, made) == b""


def test_no_filter_is_nothing_to_keep(filters: CompiledFilters, tmp_path: Path) -> None:
    filters.learn(spec(), state(tmp_path))
    assert not (tmp_path / "filters").exists()


def test_a_compiled_filter_filters_as_the_profile_did(crun: Bench, tmp_path: Path) -> None:
    filters = CompiledFilters(tmp_path / "filters", Path(crun.runtime))
    pod = crun.sandbox()
    waiting = config(context(seccomp=Profile()), command=["sleep", "1000"])
    made, first = crun.spec(waiting, pod), f"{crun.id}-first"
    with crun.started(made, first):
        filters.learn(made, tmp_path / "state" / first)
    script = "grep Seccomp: /proc/self/status; unshare -U true && echo unshared"
    made = crun.spec(config(context(seccomp=Profile()), command=["sh", "-c", script]), pod)
    assert len(used(filters, made)) > 1000
    assert crun.run(made).output.split() == ["Seccomp:", "2", "unshared"]


def test_the_compiled_filter_alone_decides(crun: Bench, tmp_path: Path) -> None:
    filters = CompiledFilters(tmp_path / "filters", Path(crun.runtime))
    path = tmp_path / "no-mkdir.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    local = context(seccomp=Profile(profile_type=Profile.Localhost, localhost_ref=str(path)))
    pod = crun.sandbox()
    made, first = crun.spec(config(local, command=["sleep", "1000"]), pod), f"{crun.id}-first"
    with crun.started(made, first):
        filters.learn(made, tmp_path / "state" / first)
    again = crun.spec(config(local, command=["mkdir", "/x"]), pod)
    assert used(filters, again) != b""
    again["linux"]["seccomp"]["syscalls"] = []
    assert "not permitted" in crun.run(again).output
