"""Being told that a directory changed."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cri.logs.inotify import Watch


@pytest.fixture
def watches() -> None:
    """Skips while others on this host have all descriptors there are."""
    descriptor = ctypes.CDLL(None).inotify_init1(os.O_CLOEXEC)
    if descriptor < 0:
        pytest.skip("fs.inotify.max_user_instances is reached")
    os.close(descriptor)


def descriptors() -> int:
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link) == "anon_inode:inotify" for link in links if os.path.islink(link))


@pytest.fixture
def no_more() -> Iterator[None]:
    """No file may be opened meanwhile, and so no descriptor of inotify either."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), hard))
    spare = []
    try:
        while True:
            spare.append(os.dup(0))
    except OSError:
        yield
    finally:
        for each in spare:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def heard(watch: Watch, within: float = 60) -> bool:
    try:
        async with asyncio.timeout(within):
            await watch.changed_or(asyncio.Event())
    except TimeoutError:
        return False
    return True


@pytest.mark.usefixtures("watches")
async def test_hundreds_of_watches_share_one_descriptor_and_free_it(tmp_path: Path) -> None:
    before = descriptors()
    with ExitStack() as stack:
        for number in range(300):
            (tmp_path / str(number)).mkdir()
            stack.enter_context(Watch(tmp_path / str(number)))
        assert descriptors() == before + 1
    assert descriptors() == before


@pytest.mark.usefixtures("watches")
async def test_a_change_is_told_to_those_who_watch_that_directory_only(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with Watch(tmp_path / "a") as one, Watch(tmp_path / "a") as other, Watch(tmp_path / "b") as stranger:
        (tmp_path / "a" / "file").touch()
        assert [*await asyncio.gather(heard(one), heard(other), heard(stranger, 0.5))] == [True, True, False]


async def test_a_directory_is_still_watched_for_others_after_one_has_left(tmp_path: Path) -> None:
    with Watch(tmp_path) as staying:
        with Watch(tmp_path):
            pass
        (tmp_path / "file").touch()
        assert await heard(staying)


async def test_a_directory_may_go_while_it_is_watched(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    with Watch(tmp_path / "a") as watch:
        shutil.rmtree(tmp_path / "a")
        assert await heard(watch)
    with Watch(tmp_path) as again:
        (tmp_path / "file").touch()
        assert await heard(again)


@pytest.mark.usefixtures("no_more")
async def test_where_no_watch_can_be_had_a_change_is_assumed_now_and_then(tmp_path: Path) -> None:
    with Watch(tmp_path) as watch:
        assert await heard(watch)


async def test_a_directory_that_is_not_there_leaves_nothing_open(tmp_path: Path) -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError), Watch(tmp_path / "none"):
        pass
    assert descriptors() == before
