"""Pulling: one fetch for all who ask for the same at once."""

from __future__ import annotations

import asyncio

from cri import platforms, references, validation
from cri.errors import DeadlineExceeded, InvalidArgument
from cri.platforms import Platform
from cri.references import Reference
from cri.v1 import api_pb2 as v1
from runtimes.native.config import ImageSettings
from runtimes.native.images.intake import Intake
from runtimes.native.images.skopeo import RegistryImage
from runtimes.shared import registry_auth
from runtimes.shared.inflight import InFlight


class Pulls:
    """See ``pull``."""

    def __init__(self, settings: ImageSettings, intake: Intake) -> None:
        self._settings = settings
        self._intake = intake
        self._under_way: InFlight[str] = InFlight()

    async def pull(self, request: v1.PullImageRequest) -> str:
        """Fetch what is missing of the image, and return its id. Raises NotFound, PlatformMismatch, Unauthenticated,
        PermissionDenied, Unavailable, BadImage, ResourceExhausted."""
        text = validation.require("image.image", request.image.image)
        wanted = platforms.wanted(request.image.annotations, request.sandbox_config.annotations)
        if references.is_image_id(text):
            raise InvalidArgument(f"image.image: {text!r} is an image id; pull by name[:tag] or name@digest")
        reference = references.parse(text, field="image.image")
        # Another platform or other credentials are another request, which must not answer for this one.
        name = f"{reference} {wanted} {request.auth.SerializeToString(deterministic=True).hex()}"
        return await self._under_way.run(name, b"", lambda: self._pull(reference, wanted, request.auth))

    async def _pull(self, reference: Reference, wanted: Platform | None, auth: v1.AuthConfig) -> str:
        source = RegistryImage(
            reference,
            registry_auth.from_cri(auth),
            wanted=wanted,
            registries_conf=self._settings.registries_conf,
        )
        limit = self._settings.pull_timeout or None
        names = [] if reference.digest else [str(reference)]
        try:
            async with asyncio.timeout(limit), source:
                image = await self._intake.bring(
                    source, str(reference), names, repository=reference.name, wanted=wanted
                )
        except TimeoutError as error:
            raise DeadlineExceeded(f"image {reference} was not pulled within {limit} s") from error
        return image.id
