"""The image service: pull, list, status, remove, and the space that images take."""

from __future__ import annotations

import builtins
import json

from cri import platforms, progress, references, validation
from cri.errors import FailedPrecondition, InvalidArgument
from cri.progress import Progress
from cri.v1 import api_pb2 as v1
from runtimes.fake.images import Image
from runtimes.fake.world import World

_MOUNTPOINT = "/"
"""A path that exists on every host: callers ask the kernel about it."""


class ImageService:
    """The images of one world. Those of the setting ``preloaded`` are there from the start."""

    def __init__(self, world: World) -> None:
        self._world = world
        for text in world.config.preloaded:
            self.pull(v1.PullImageRequest(image=v1.ImageSpec(image=text)))

    def pull(self, request: v1.PullImageRequest) -> str:
        """The image's id. Raises InvalidArgument, PlatformMismatch, and what the script says."""
        text = validation.require("image.image", request.image.image)
        wanted = platforms.wanted(request.image.annotations, request.sandbox_config.annotations)
        if references.is_image_id(text):
            raise InvalidArgument(f"image.image: {text!r} is an image id; pull by name[:tag] or name@digest")
        reference = references.parse(text, field="image.image")
        image, digest = self._world.catalogue.resolve(reference, wanted or platforms.host())
        for status, current in (("Pulling", 0), ("Downloading", image.size), ("Pull complete", image.size)):
            progress.report(
                Progress(str(reference), image.id.removeprefix("sha256:")[:12], status, current, image.size)
            )
        return self._world.images.add(image, reference, digest).id

    def list(self, wanted: v1.ImageFilter) -> builtins.list[v1.Image]:
        """All images, or the one that the filter names; sorted by name."""
        if wanted.image.image:
            found = self._world.images.find(wanted.image.image)
            return [found.message()] if found else []
        return sorted(
            (image.message() for image in self._world.images.all()), key=lambda image: (list(image.repo_tags), image.id)
        )

    def status(self, spec: v1.ImageSpec, *, verbose: bool) -> v1.ImageStatusResponse:
        """CRI: a missing image is an answer without an image."""
        image = self._world.images.find(validation.require("image.image", spec.image))
        if image is None:
            return v1.ImageStatusResponse()
        return v1.ImageStatusResponse(image=image.message(), info=_info(image) if verbose else {})

    def remove(self, spec: v1.ImageSpec) -> None:
        """CRI: one name given, all names removed; a missing image succeeds.

        Raises FailedPrecondition while a container runs from it.
        """
        image = self._world.images.find(validation.require("image.image", spec.image))
        if image is None:
            return
        for container in self._world.containers.values():
            if container.image is image and container.running:
                raise FailedPrecondition(
                    f"image {spec.image!r} cannot be removed: container {container.id} runs from it; stop it first",
                    details={"container_id": container.id},
                )
        self._world.images.remove(image)

    def fs_info(self) -> v1.ImageFsInfoResponse:
        """What images and writable layers would take, if they were on a disk."""
        images = self._world.images.all()
        written = [container.guest.files.used() for container in self._world.containers.values()]
        return v1.ImageFsInfoResponse(
            image_filesystems=[self._usage(sum(image.size for image in images), len(images))],
            container_filesystems=[self._usage(sum(size for size, _ in written), sum(count for _, count in written))],
        )

    def _usage(self, size: int, inodes: int) -> v1.FilesystemUsage:
        return v1.FilesystemUsage(
            timestamp=self._world.clock.now_ns(),
            fs_id=v1.FilesystemIdentifier(mountpoint=_MOUNTPOINT),
            used_bytes=v1.UInt64Value(value=size),
            inodes_used=v1.UInt64Value(value=inodes),
        )


def _info(image: Image) -> dict[str, str]:
    """What a verbose status adds: the configuration in OCI's words, where tools look for it, and the declaration."""
    own = image.spec
    config = {
        "User": own.user,
        "Env": [f"{key}={value}" for key, value in own.env.items()],
        "Entrypoint": list(own.entrypoint),
        "Cmd": list(own.cmd),
        "WorkingDir": own.workdir,
        "StopSignal": own.stop_signal,
    }
    about = {"os": image.platform.os, "architecture": image.platform.architecture, "variant": image.platform.variant}
    spec = {key: value for key, value in about.items() if value} | {
        "config": {key: value for key, value in config.items() if value}
    }
    return {"info": json.dumps({"imageSpec": spec, "spec": own.model_dump(mode="json")})}
