"""Where a container writes to, read from its mounts; no engine is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtimes.docker.places import upper_of

PROC = "961 960 0:96 / /proc rw,nosuid - proc proc rw"
OTHER = "962 960 0:97 / /other rw - overlay overlay rw,lowerdir=/l,upperdir=/other/fs,workdir=/w"


@pytest.mark.parametrize(
    ("root", "upper"),
    [
        (
            "960 52 0:93 / / rw,relatime - overlay overlay rw,lowerdir=/a/1:/a/2,upperdir=/s/3/fs,workdir=/s/3/w",
            "/s/3/fs",
        ),
        (r"960 52 0:93 / / rw - overlay overlay rw,lowerdir=/a,upperdir=/a\040b/x\,y/fs,workdir=/w", "/a b/x,y/fs"),
        ("960 52 0:93 / / ro - overlay overlay ro,lowerdir=/a:/b", ""),
        ("960 52 8:1 /vfs/1 / rw - ext4 /dev/sda1 rw", ""),
    ],
    ids=["overlay", "odd-path", "nothing-to-write", "no-overlay"],
)
def test_the_root_overlay_says_where_it_is_written(tmp_path: Path, root: str, upper: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/mountinfo").write_text("\n".join([OTHER, root, PROC]) + "\n")
    assert upper_of(7, tmp_path) == upper


def test_a_process_that_is_gone_writes_nowhere(tmp_path: Path) -> None:
    assert upper_of(7, tmp_path) == ""
