"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from runtimes.native import whole_files


@pytest.fixture(params=["nameless", "named"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """On a file system that knows files without a name, and on one that does not."""
    if request.param == "named":
        monkeypatch.setattr(whole_files, "nameless", lambda folder: None)
    return tmp_path / "place"


def test_a_file_takes_the_place_of_what_is_there(place: Path) -> None:
    place.write_bytes(b"before")
    place.with_name("place.tmp").write_bytes(b"of one who was killed")
    with whole_files.written(place) as file:
        file.write(b"after")
        assert place.read_bytes() == b"before"
    assert place.read_bytes() == b"after"
    assert os.listdir(place.parent) == ["place"]


def test_a_file_is_for_its_owner_alone(place: Path) -> None:
    with whole_files.written(place) as file:
        file.write(b"secret")
    assert place.stat().st_mode & 0o777 == 0o600


def test_nothing_stays_of_a_file_that_could_not_be_finished(place: Path) -> None:
    place.write_bytes(b"before")
    with suppress(ValueError), whole_files.written(place) as file:
        file.write(b"half")
        raise ValueError
    assert place.read_bytes() == b"before"
    assert os.listdir(place.parent) == ["place"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_files.written(tmp_path / "nowhere" / "place"):
        pass
