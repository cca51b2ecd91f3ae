"""`minicri image import`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.host import images
from tests.host.images import BUSYBOX, Image
from tests.orchestrator.commands import minicri
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Item

Import = Callable[..., CompletedProcess[str]]


@pytest.fixture
def imported(base: Path, tmp_path: Path) -> Import:
    """`imported(PATH, ...)` runs the command on an engine of its own."""
    at = {"MINICRI_RUNTIMES__NATIVE__ROOT": str(base / "root"), "MINICRI_RUNTIMES__NATIVE__RUN": str(base / "run")}

    def run(*arguments: str, runtime: str = "native") -> CompletedProcess[str]:
        return minicri(tmp_path, "image", "import", *arguments, "--runtime", runtime, env=at)

    return run


def test_an_archive_is_imported_and_named(imported: Import, tmp_path: Path) -> None:
    (tmp_path / "busybox.tar").write_bytes(images.docker_archive(BUSYBOX))
    done = imported("busybox.tar", "--name", "localhost/box", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"id": Image().id, "names": ["localhost/box:latest"]}]


def test_a_root_file_system_is_imported(imported: Import, tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(kit.layer(Item("f")))
    done = imported("rootfs.tar", "--platform", "linux/arm64")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("sha256:")


def test_what_is_missing_is_not_found(imported: Import) -> None:
    done = imported("missing.tar")
    assert done.returncode == 3
    assert "missing.tar" in done.stderr


def test_a_runtime_that_cannot_says_so(imported: Import, tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar").write_bytes(kit.layer(Item("f")))
    done = imported("rootfs.tar", runtime="fake")
    assert done.returncode == 7
    assert "fake cannot import images" in done.stderr
