"""Opening files that somebody else named."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes.native import kernel


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    """`inside/` with a file and links that lead out, next to a secret."""
    (tmp_path / "secret").write_text("of the host")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "secret").write_text("of the image")
    (inside / "absolute").symlink_to("/secret")
    (inside / "relative").symlink_to("../../../../secret")
    opened = os.open(inside, os.O_PATH)
    yield opened
    os.close(opened)


def read(file: int) -> str:
    with os.fdopen(file) as opened:
        return opened.read()


@pytest.mark.parametrize("path", ["secret", "/secret", "../secret", "absolute", "relative"])
def test_nothing_leads_out_of_a_root(directory: int, path: str) -> None:
    assert read(kernel.open_in_root(directory, path, os.O_RDONLY)) == "of the image"


@pytest.mark.parametrize(
    ("path", "code"), [("../secret", errno.EXDEV), ("/secret", errno.EXDEV), ("relative", errno.ELOOP)]
)
def test_what_is_not_beneath_is_not_opened(directory: int, path: str, code: int) -> None:
    with pytest.raises(OSError) as raised:  # noqa: PT011 - the code is looked at
        kernel.open_beneath(directory, path, os.O_RDONLY)
    assert raised.value.errno == code


def test_a_failure_names_the_path(directory: int) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        kernel.open_in_root(directory, "missing", os.O_RDONLY)
