"""The OCI runtime as a program: which one, and from where."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition
from runtimes.native import kernel, oci_runtime
from runtimes.native.oci import weaknesses
from runtimes.native.oci.compiled import CompiledFilters
from runtimes.native.oci_runtime import OciRuntime


def runtime(program: Path, root: Path) -> OciRuntime:
    return OciRuntime(str(program), root / "oci", 30.0, CompiledFilters(root / "filters", program), driver="cgroupfs")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "crun"
    path.write_text("#!/bin/sh\necho crun version 1.2.3\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "bin"
    kernel.unmount(tmp_path / "bin" / "crun")


@pytest.mark.usefixtures("root")
async def test_a_protected_program_is_run_from_where_nobody_can_write(program: Path, mounted: Path) -> None:
    crun = runtime(program, mounted.parent)
    crun.protect(mounted)
    assert crun.path == str(mounted / "crun")
    assert os.statvfs(crun.path).f_flag & os.ST_RDONLY
    assert await crun.version() == "1.2.3"


@pytest.mark.usefixtures("root")
def test_protecting_again_mounts_nothing_more(program: Path, mounted: Path) -> None:
    for _ in range(2):
        crun = runtime(program, mounted.parent)
        crun.protect(mounted)
        assert crun.path == str(mounted / "crun")
    mounts = Path("/proc/mounts").read_text().splitlines()
    assert len([line for line in mounts if str(mounted) in line]) == 1


@pytest.mark.usefixtures("root")
def test_what_a_killed_engine_had_protected_by_half_is_protected(program: Path, mounted: Path) -> None:
    mounted.mkdir()
    (mounted / "crun").touch()
    kernel.mount(program, mounted / "crun", "", kernel.MS_BIND)
    crun = runtime(program, mounted.parent)
    crun.protect(mounted)
    assert os.statvfs(crun.path).f_flag & os.ST_RDONLY


def test_a_runtime_that_is_asked_for_and_missing_is_named_with_its_package() -> None:
    with pytest.raises(FailedPrecondition, match="install the package no-such-runtime"):
        oci_runtime.handlers("no-such-runtime")


def test_the_runtime_that_is_asked_for_comes_first(program: Path) -> None:
    assert next(iter(oci_runtime.handlers(str(program)))) == "crun"


@pytest.mark.parametrize("version", ["1.0.0", "1.1.5+ds1", "1.1.13", "1.2.0-rc.1", "1.2.0-rc.2+dev"])
def test_a_runc_with_a_known_weakness_is_told_with_the_way_out(version: str) -> None:
    told = weaknesses.of("runc", version)
    assert version in told
    assert "CVE-2024-45310" in told
    assert "crun" in told


@pytest.mark.parametrize("version", ["1.1.14", "1.1.15+ds1", "1.2.0-rc.3", "1.2.0", "1.3.1", "2.0.0", "", "unknown"])
def test_nothing_is_said_of_a_newer_runc_or_one_that_does_not_tell_its_version(version: str) -> None:
    assert not weaknesses.of("runc", version)


def test_nothing_is_said_of_crun() -> None:
    assert not weaknesses.of("crun", "1.1.5")


async def test_an_old_runc_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    program = tmp_path / "runc"
    program.write_text("#!/bin/sh\necho runc version 1.1.5+ds1\n")
    program.chmod(0o755)
    runc = runtime(program, tmp_path)
    with caplog.at_level(logging.WARNING):
        await runc.judge()
        await runc.judge()
    assert [record.message for record in caplog.records] == [weaknesses.of("runc", "1.1.5+ds1")]
