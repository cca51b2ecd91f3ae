"""Image references: reading and normalising names such as ``busybox``, ``quay.io/a/b:1``, ``x@sha256:…``. Pure.

All backends answer with normalised names (``docker.io/library/busybox:latest``), so that a program sees the same
names whichever engine is plugged in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cri.errors import InvalidArgument

DEFAULT_DOMAIN = "docker.io"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_DOMAIN = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9](?:[-a-zA-Z0-9.]*[a-zA-Z0-9])?)(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised reference. Exactly one of ``tag`` and ``digest`` may be empty; with both, the digest decides."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Domain and path, without tag or digest."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The short form that Docker and people use: ``busybox`` for ``docker.io/library/busybox``."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        return self.path.removeprefix("library/")

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str, *, field: str = "image") -> Reference:
    """Normalise ``text``; a name without tag or digest gets ``:latest``. Raises InvalidArgument naming ``field``."""

    def wrong(why: str) -> InvalidArgument:
        return InvalidArgument(f"{field}: {text!r} is not an image reference: {why}; write name[:tag] or name@digest")

    if not text:
        raise wrong("it is empty")
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise wrong(f"{digest!r} is not a digest")
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost" or head != head.lower()):
        domain, remainder = head, tail
    else:
        domain, remainder = DEFAULT_DOMAIN, rest
    path, colon, tag = remainder.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise wrong(f"{tag!r} is not a tag")
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    if not _DOMAIN.fullmatch(domain):
        raise wrong(f"{domain!r} is not a registry host")
    if not _PATH.fullmatch(path):
        raise wrong("names are lower-case letters, digits and . _ - between slashes")
    return Reference(domain, path, tag or ("" if digest else "latest"), digest)


def is_image_id(text: str) -> bool:
    """Whether ``text`` is a full image id (``sha256:`` and 64 hex digits, or those alone) and no name."""
    return _ID.fullmatch(text) is not None
