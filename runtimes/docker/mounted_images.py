"""The images that a container mounts, looked at before it is made: the engine would tell only at its start."""

from __future__ import annotations

from cri.errors import InvalidArgument, NotFound
from cri.v1 import api_pb2 as v1
from runtimes.docker.engine import Engine
from runtimes.docker.image_files import ImageFiles
from runtimes.docker.images import Images


class MountedImages:
    """Works on the config of a container to be."""

    def __init__(self, engine: Engine, images: Images, files: ImageFiles) -> None:
        self._engine = engine
        self._images = images
        self._files = files

    async def name(self, config: v1.ContainerConfig) -> None:
        """Note in the mounts which images they are of, whatever the names mean by the start. Raises NotFound for an
        image that is not here, InvalidArgument for a part that it has not. An engine that mounts no images is left
        alone; ``mounts.options`` refuses for it."""
        mounts = [mount for mount in config.mounts if mount.image.image]
        if not mounts or not (await self._engine.facts()).features.image_mounts:
            return
        for mount in mounts:
            where = f"config.mounts: {mount.container_path!r}"
            found = await self._images.find(mount.image.image)
            if found is None:
                raise NotFound(f"{where}: image {mount.image.image!r} is not here; pull it first")
            part = mount.image_sub_path
            if part and not await self._files.has(found["Id"], f"/{part}"):
                raise InvalidArgument(f"{where}: image {mount.image.image!r} has no {part!r}")
            mount.image.image_ref = str(found["Id"])
