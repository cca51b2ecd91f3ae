"""Files of an image, read through a container of it that never runs."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import docker.errors

from cri.errors import FailedPrecondition, NotFound
from runtimes.docker.engine import Engine
from runtimes.docker.removal import Removal
from runtimes.shared import labels
from runtimes.shared.image_accounts import LINKS, SIZE_LIMIT, ReadFile
from runtimes.shared.inflight import uninterrupted
from runtimes.shared.owner import Owner, left_over

_KIND = "accounts"


class ImageFiles:
    """See ``runtimes.shared.image_accounts.ImageFiles``."""

    def __init__(self, engine: Engine, removal: Removal) -> None:
        self._engine = engine
        self._removal = removal
        self._owner = Owner()

    def close(self) -> None:
        self._owner.release()

    async def sweep(self) -> None:
        """Remove what a crash left between making such a container and removing it."""
        listed = await self._engine.call(
            self._engine.client.containers, all=True, filters={"label": [f"{labels.KIND}={_KIND}"]}
        )
        now = time.time()
        left = [row for row in listed if left_over(row["Labels"].get(labels.OWNER, ""), now - row["Created"])]
        await self._removal.remove_all(row["Id"] for row in left)

    async def has(self, image_id: str, path: str) -> bool:
        """Whether there is anything at ``path``. Raises NotFound for an image that is not there."""
        async with self._held(image_id) as container_id:
            archive = f"/containers/{container_id}/archive"
            try:
                await self._engine.call(self._engine.client.ask, "HEAD", archive, params={"path": path})
            except NotFound:
                return False
            return True

    @asynccontextmanager
    async def opened(self, image_id: str) -> AsyncIterator[ReadFile]:
        async with self._held(image_id) as container_id:

            async def read(path: str) -> str:
                return await self._engine.call(_text, self._engine, container_id, path)

            yield read

    @asynccontextmanager
    async def _held(self, image_id: str) -> AsyncIterator[str]:
        """A container of the image while the block lasts."""
        config: dict[str, Any] = {
            "Image": image_id,
            "Entrypoint": ["-"],
            "Labels": {labels.KIND: _KIND, labels.OWNER: self._owner.mark},
            "HostConfig": {"NetworkMode": "none"},
        }
        async with AsyncExitStack() as stack:
            yield await uninterrupted(self._make(config, stack))

    async def _make(self, config: dict[str, Any], stack: AsyncExitStack) -> str:
        made = await self._engine.call(self._engine.client.create_container_from_config, config)
        container_id = str(made["Id"])
        stack.push_async_callback(lambda: uninterrupted(self._removal.remove(container_id)))
        return container_id


def _text(engine: Engine, container_id: str, path: str) -> str:
    """The file at ``path``, through symbolic links; empty where there is none."""
    for _ in range(LINKS):
        try:
            chunks, stat = engine.client.get_archive(container_id, path)
        except docker.errors.NotFound:
            return ""
        with contextlib.closing(chunks):
            if stat["linkTarget"]:
                path = stat["linkTarget"]
                continue
            if stat["size"] > SIZE_LIMIT:
                raise FailedPrecondition(f"{path} of the image has {stat['size']} bytes; {SIZE_LIMIT} is the limit")
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                file = archive.extractfile(archive.getmembers()[0])
                return file.read().decode("utf-8", "replace") if file else ""
    return ""
