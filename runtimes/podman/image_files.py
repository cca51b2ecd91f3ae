"""Files of an image, read through a container of it that never runs."""

from __future__ import annotations

import base64
import io
import json
import secrets
import tarfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cri.errors import FailedPrecondition, NotFound
from runtimes.podman.container_status import nanoseconds
from runtimes.podman.engine import Engine
from runtimes.podman.removal import Removal
from runtimes.shared import labels
from runtimes.shared.image_accounts import LINKS, SIZE_LIMIT, ReadFile
from runtimes.shared.names import PREFIX
from runtimes.shared.owner import Owner, left_over

_KIND = "accounts"
_STAT = "X-Docker-Container-Path-Stat"
_ARCHIVE_ROOM = 64 * 1024
"""Bytes of a tar beyond the file in it."""


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
        filters = json.dumps({"label": [f"{labels.KIND}={_KIND}"]})
        listed = await self._engine.get("/containers/json", params={"all": True, "filters": filters}) or ()
        now = time.time()
        left = [
            row["Id"]
            for row in listed
            if left_over(row["Labels"].get(labels.OWNER, ""), now - nanoseconds(row["Created"]) / 1e9)
        ]
        await self._removal.remove_all(left)

    @asynccontextmanager
    async def opened(self, image_id: str) -> AsyncIterator[ReadFile]:
        body = {
            "name": f"{PREFIX}{_KIND}_{secrets.token_hex(8)}",
            "image": image_id,
            "entrypoint": ["-"],
            "labels": {labels.KIND: _KIND, labels.OWNER: self._owner.mark},
            "netns": {"nsmode": "none"},
            "image_volume_mode": "ignore",
        }
        made = await self._engine.post("/containers/create", body=body)
        container_id = str(made["Id"])

        async def read(path: str) -> str:
            return await self._text(container_id, path)

        try:
            yield read
        finally:
            await self._removal.remove(container_id)

    async def _text(self, container_id: str, path: str) -> str:
        """The file at ``path``, through symbolic links; empty where there is none."""
        for _ in range(LINKS):
            try:
                content, headers = await self._engine.get_bytes(
                    f"/containers/{container_id}/archive", params={"path": path}, limit=SIZE_LIMIT + _ARCHIVE_ROOM
                )
            except NotFound:
                return ""
            stat = json.loads(base64.b64decode(headers[_STAT]))
            if stat["linkTarget"] not in ("", path):
                path = stat["linkTarget"]
                continue
            if stat["size"] > SIZE_LIMIT:
                raise FailedPrecondition(f"{path} of the image has {stat['size']} bytes; {SIZE_LIMIT} is the limit")
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                file = archive.extractfile(archive.getmembers()[0])
                return file.read().decode("utf-8", "replace") if file else ""
        return ""
