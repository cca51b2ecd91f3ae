"""Pulling: the engine's stream of progress, its errors, and the platform."""

from __future__ import annotations

import json
import re
from typing import Any

from cri import platforms, progress, references, validation
from cri.errors import (
    CRIError,
    Internal,
    InvalidArgument,
    NotFound,
    PlatformMismatch,
    Unauthenticated,
)
from cri.platforms import Platform
from cri.progress import Progress
from cri.references import Reference
from cri.v1 import api_pb2 as v1
from runtimes.podman.engine import Engine
from runtimes.podman.engine_errors import for_status
from runtimes.podman.images import Images
from runtimes.shared import image_status, registry_auth, registry_words
from runtimes.shared.engine_stream import lines

PATIENCE = 24 * 3600.0
"""Seconds until the engine's first word. A pull is the caller's to bound: cancelling it stops the engine's work."""

_LAYER = re.compile(r"Copying (?:blob|config) (?:sha256:)?([0-9a-f]+)")


class Pulls:
    """PullImage."""

    def __init__(self, engine: Engine, images: Images) -> None:
        self._engine = engine
        self._images = images

    async def pull(self, request: v1.PullImageRequest) -> str:
        """Fetch and return the image's id. Raises NotFound, PlatformMismatch, Unauthenticated, Unavailable."""
        text = validation.require("image.image", request.image.image)
        wanted = platforms.wanted(request.image.annotations, request.sandbox_config.annotations)
        if references.is_image_id(text):
            raise InvalidArgument(f"image.image: {text!r} is an image id; pull by name[:tag] or name@digest")
        reference = references.parse(text, field="image.image")
        try:
            await self._fetch(reference, wanted, registry_auth.from_cri(request.auth))
        finally:
            self._images.look_again()
        found = await self._images.find(text)
        if found is None:
            raise Internal(f"the engine pulled {reference} and then did not know it")
        actual = image_status.facts(found).platform
        if wanted and not wanted.runs(actual):
            # A registry name without a list of platforms gives its only image, whatever was asked for.
            raise PlatformMismatch(f"image {reference} is for {actual}, not for {wanted}")
        return image_status.image_id(found["Id"])

    async def _fetch(self, reference: Reference, wanted: Platform | None, credentials: dict[str, str]) -> None:
        params = {"reference": image_status.engine_name(str(reference)), "policy": "always"}
        if wanted:
            params |= {"OS": wanted.os, "Arch": wanted.architecture, "Variant": wanted.variant}
        pulling = self._engine.stream(
            "POST", "/images/pull", params=params, headers=registry_auth.header(credentials), patience=PATIENCE
        )
        try:
            async with pulling as answer:
                async for line in lines(answer.chunks()):
                    _heed(str(reference), json.loads(line))
        except CRIError as error:
            raise _explained(error, reference, wanted) from error


def _heed(image: str, message: dict[str, Any]) -> None:
    """Report one line of progress. Raises what it says when it is an error."""
    if message.get("error"):
        raise for_status(500, str(message["error"]))
    text = str(message.get("stream") or "").strip()
    if text:
        layer = _LAYER.search(text)
        progress.report(Progress(image=image, layer=layer[1][:12] if layer else "", status=text, current=0, total=0))


def _explained(error: CRIError, reference: Reference, wanted: Platform | None) -> CRIError:
    """The error with the image's name, of the class that the text tells where the status code could not."""
    cls = type(error)
    if cls in (Internal, NotFound, Unauthenticated):
        # The engine has sent 200 by the time a pull fails.
        cls = registry_words.error_class(error.message) or cls
    what = f"image {reference}" + (f" for {wanted}" if wanted else "")
    return cls(f"{what} cannot be pulled: {error.message}", details=error.details)
