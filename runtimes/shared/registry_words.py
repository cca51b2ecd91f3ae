"""What the image library of Podman and skopeo says when a registry refuses. Its words are all there is. Pure."""

from __future__ import annotations

import re

from cri.errors import CRIError, NotFound, PermissionDenied, PlatformMismatch, Unauthenticated

_BY_TEXT: tuple[tuple[re.Pattern[str], type[CRIError]], ...] = (
    (re.compile(r"no image found in (manifest list|image index) for|does not match the specified"), PlatformMismatch),
    (re.compile(r"(?i)unauthorized|authentication required|invalid username/password"), Unauthenticated),
    (re.compile(r"manifest unknown|name unknown|not found|does not exist"), NotFound),
    (re.compile(r"(?i)denied|image rejected"), PermissionDenied),
)
"""The first match counts."""


def error_class(text: str) -> type[CRIError] | None:
    """The class of error that ``text`` tells of; None where it tells nothing that is known."""
    return next((named for pattern, named in _BY_TEXT if pattern.search(text)), None)
