"""A private native engine, in a slot."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cri
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from tests.host import hugetlb, images
from tests.host.errors import Unavailable
from tests.host.native_state import DIRECTORY, beside, settings
from tests.host.slot import base_lock, claim

_PACKAGES = {"crun": "crun", "conmon": "conmon", "nft": "nftables"}
_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@contextlib.contextmanager
def private_native(*, pulls: bool = True) -> Iterator[dict[str, Any]]:
    """The configuration of an engine of our own with the busybox image in it, removed with all that it holds at the
    end. Raises Unavailable when this host cannot have one, or not one that ``pulls``."""
    for program, package in (_PACKAGES | ({"skopeo": "skopeo"} if pulls else {})).items():
        if shutil.which(program, path=_SEARCH) is None:
            raise Unavailable(f"no {program} on this host: install the package {package}")
    images.static_busybox()
    slot = claim()
    try:
        (slot.path / DIRECTORY).mkdir()
        with base_lock():
            hugetlb.require()
        found = settings(slot)
        load(found, images.docker_archive(images.BUSYBOX), images.BUSYBOX, slot.path)
        yield found
    finally:
        slot.release()


def load(options: dict[str, Any], archive: bytes, name: str, folder: Path) -> None:
    """Put an image into the engine."""
    path = folder / "image.tar"
    path.write_bytes(archive)
    try:
        beside(lambda: _import(options, path, name))
    finally:
        path.unlink()


def contents(options: dict[str, Any]) -> list[str]:
    """The engine's sandboxes and containers, one line each."""

    async def look() -> list[str]:
        async with cri.open("native", **options) as runtime:
            sandboxes = (await runtime.list_pod_sandbox(v1.ListPodSandboxRequest())).items
            containers = (await runtime.list_containers(v1.ListContainersRequest())).containers
        return [*(f"sandbox {each.id}" for each in sandboxes), *(f"container {each.id}" for each in containers)]

    return beside(look)


async def _import(options: dict[str, Any], path: Path, name: str) -> None:
    from runtimes.native.runtime import NativeRuntime

    async with await NativeRuntime.open(NativeConfig.model_validate(options)) as runtime:
        await runtime.import_image(path, name)
