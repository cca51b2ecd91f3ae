"""Pulling: the engine's stream of progress, its errors, and credentials in the form that it takes."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import docker.auth
import docker.errors

from cri import platforms, progress, references, validation
from cri.errors import (
    CRIError,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PlatformMismatch,
    Unauthenticated,
)
from cri.platforms import Platform
from cri.progress import Progress
from cri.references import Reference
from cri.v1 import api_pb2 as v1
from runtimes.docker.engine import Engine
from runtimes.docker.engine_errors import for_status
from runtimes.docker.images import Images
from runtimes.shared import image_status, registry_auth
from runtimes.shared.engine_stream import lines

PATIENCE = 24 * 3600.0
"""Seconds until the engine's first word. A pull is the caller's to bound: cancelling it stops the engine's work."""

_BY_TEXT: tuple[tuple[re.Pattern[str], type[CRIError]], ...] = (
    (re.compile(r"no matching manifest|does not match the specified platform"), PlatformMismatch),
    (re.compile(r"(?i)unauthorized|authentication required|no basic auth credentials"), Unauthenticated),
    (re.compile(r"manifest unknown|not found|does not exist"), NotFound),
    (re.compile(r"(?i)denied"), PermissionDenied),
)
"""The engine has sent 200 by the time a pull fails: its text is all there is. The first match counts."""


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
            await self._fetch(reference, wanted, await self._credentials(request.auth, reference))
        finally:
            self._images.look_again()
        found = await self._images.find(text, wanted) or await self._images.find(text)
        if found is None:
            raise Internal(f"the engine pulled {reference} and then did not know it")
        actual = image_status.facts(found).platform
        if wanted and not wanted.runs(actual):
            # A registry name without a list of platforms gives its only image, whatever was asked for.
            raise PlatformMismatch(f"image {reference} is for {actual}, not for {wanted}")
        return str(found["Id"])

    async def _fetch(self, reference: Reference, wanted: Platform | None, credentials: dict[str, str]) -> None:
        params = {"fromImage": reference.name, "tag": reference.digest or reference.tag}
        if wanted:
            params["platform"] = str(wanted)
        pulling = self._engine.stream(
            "POST", "/images/create", params=params, headers=registry_auth.header(credentials), patience=PATIENCE
        )
        try:
            async with pulling as answer:
                async for line in lines(answer.chunks()):
                    _heed(str(reference), json.loads(line))
        except CRIError as error:
            raise _explained(error, reference, wanted) from error

    async def _credentials(self, auth: v1.AuthConfig, reference: Reference) -> dict[str, str]:
        given = registry_auth.from_cri(auth)
        if given or not self._engine.config.docker_login:
            return given
        return await asyncio.to_thread(_docker_login, reference.domain)


def _docker_login(domain: str) -> dict[str, str]:
    """What ``docker login`` stored for a registry; nothing where that cannot be read."""
    try:
        found: dict[str, Any] | None = docker.auth.resolve_authconfig(docker.auth.load_config(), registry=domain)
    except docker.errors.DockerException:
        return {}
    # A file says "username" where a credential helper says "Username".
    said = {key.lower(): str(value) for key, value in (found or {}).items() if value}
    return {key: said[key] for key in ("username", "password", "identitytoken") if key in said}


def _heed(image: str, message: dict[str, Any]) -> None:
    """Report one line of progress. Raises what it says when it is an error."""
    if "error" in message:
        text = str((message.get("errorDetail") or {}).get("message") or message["error"])
        raise for_status(500, text)
    detail = message.get("progressDetail") or {}
    if detail.get("units"):  # seconds, of an engine that does not know how much there is to unpack
        detail = {}
    progress.report(
        Progress(
            image=image,
            layer=str(message.get("id") or ""),
            status=str(message.get("status") or ""),
            current=int(detail.get("current") or 0),
            total=int(detail.get("total") or 0),
        )
    )


def _explained(error: CRIError, reference: Reference, wanted: Platform | None) -> CRIError:
    """The error with the image's name, of the class that the text tells where the status code could not."""
    cls = type(error)
    if cls in (Internal, NotFound):
        cls = next((named for pattern, named in _BY_TEXT if pattern.search(error.message)), cls)
    what = f"image {reference}" + (f" for {wanted}" if wanted else "")
    return cls(f"{what} cannot be pulled: {error.message}", details=error.details)
