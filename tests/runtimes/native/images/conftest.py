"""A store on a directory of its own; what a test mounts there is gone with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from runtimes.native import kernel
from runtimes.native.images import ImageRecord
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Engine, Layered


@pytest.fixture
def base(tmp_path: Path, root: None) -> Iterator[Path]:
    """Where a store may be; mounts below it end with the test."""
    place = tmp_path / "native"
    place.mkdir()
    yield place
    for mounted in reversed(mounts_below(place)):
        kernel.unmount(mounted, kernel.MNT_DETACH)


@pytest.fixture
def engine(base: Path) -> Iterator[Engine]:
    with kit.engine(base) as made:
        yield made


@pytest.fixture
def brought(engine: Engine, tmp_path: Path) -> Callable[..., Awaitable[ImageRecord]]:
    """`await brought(b"tar", b"tar", name=...)` is the image of those layers, imported."""
    made = iter(range(100))

    async def bring(*layers: bytes, name: str = "", into: Engine = engine) -> ImageRecord:
        place = kit.layout(tmp_path / f"layout-{next(made)}", ("", Layered(layers)))
        (record,) = await into.images.import_(place, name)
        return record

    return bring


def mounts_below(place: Path) -> list[str]:
    """The mount points below ``place``, in the order in which they were made."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = line.split()[4].encode().decode("unicode_escape")
        if target.startswith(f"{place}/"):
            found.append(target)
    return found
