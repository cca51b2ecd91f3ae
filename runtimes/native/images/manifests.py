"""Manifests, indexes and configs of images, read with the distrust that they deserve. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cri.errors import InvalidArgument, PlatformMismatch
from cri.platforms import Platform, host, parse
from runtimes.native.images.failures import BadImage
from runtimes.native.images.overlay import MOST_LAYERS

SIZE_LIMIT = 8 << 20
"""Bytes of a manifest, index or config that are read; registries take 4 MiB."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"

_INDEXES = (OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = (OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of a blob. ``size`` is in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]
    """From the lowest up."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image in an index."""

    descriptor: Descriptor
    platform: Platform | None


@dataclass(frozen=True, slots=True)
class Config:
    """An image's config, whose digest is the image's id. ``document`` is all of it."""

    id: str
    document: dict[str, Any]
    diff_ids: tuple[str, ...]
    """Digests of the layers, uncompressed, from the lowest up."""

    platform: Platform


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The id of each layer together with all below it, as OCI defines it."""
    chains: list[str] = []
    for diff_id in diff_ids:
        chains.append(digest(f"{chains[-1]} {diff_id}".encode()) if chains else diff_id)
    return chains


def candidates(content: bytes) -> list[Candidate] | None:
    """The images of an index; None where ``content`` is no index. Raises BadImage."""
    document = _object(content, "the manifest")
    if not _is(document, _INDEXES, "manifests"):
        return None
    return [Candidate(_descriptor(each, "the index"), _platform(each.get("platform"))) for each in _list(document)]


def manifest(content: bytes) -> Manifest:
    """Raises BadImage for what is no manifest of an image."""
    document = _object(content, "the manifest")
    if not _is(document, _MANIFESTS, "layers"):
        kind = document.get("mediaType") or f"schemaVersion {document.get('schemaVersion')}"
        raise BadImage(f"the manifest is none of a container image: {kind}")
    layers = document.get("layers")
    if not isinstance(layers, list) or not layers or len(layers) > MOST_LAYERS:
        raise BadImage(f"the manifest has no list of 1 to {MOST_LAYERS} layers")
    return Manifest(
        _descriptor(document.get("config"), "the manifest"),
        tuple(_descriptor(each, "the manifest") for each in layers),
    )


def config(content: bytes, layers: int) -> Config:
    """Raises BadImage for a config that does not go with ``layers`` layers."""
    document = _object(content, "the image's config")
    rootfs = document.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != layers:
        raise BadImage(f"the image's config does not name its {layers} layers in rootfs.diff_ids")
    for each in diff_ids:
        if not isinstance(each, str) or not _DIGEST.fullmatch(each):
            raise BadImage(f"the image's config has {each!r} in rootfs.diff_ids, which is no sha256 digest")
    if not isinstance(document.get("config") or {}, dict):
        raise BadImage("the image's config has no object as its config")
    # Old images may not say; whoever has one has had it run here.
    platform = _platform(document) or host()
    return Config(digest(content), document, tuple(diff_ids), platform)


def choose(among: Sequence[Candidate], wanted: Platform | None, name: str) -> Descriptor:
    """The image for ``wanted``, else for this host. Raises PlatformMismatch, which says what there is."""
    asked = wanted or host()
    fit = [each for each in among if each.platform and asked.runs(each.platform)]
    if not fit:
        there = ", ".join(sorted({str(each.platform) for each in among if each.platform})) or "none that it names"
        raise PlatformMismatch(f"image {name} is not for {asked}; it is for {there}")
    # An unsaid variant is no demand, and the plainest answer to it is an image without one.
    fit.sort(key=lambda each: each.platform is not None and each.platform.variant != asked.variant)
    return fit[0].descriptor


def _is(document: dict[str, Any], media_types: Sequence[str], key: str) -> bool:
    """By its media type; OCI lets it be absent, and then what is in it tells."""
    named = document.get("mediaType")
    return named in media_types if named else key in document and document.get("schemaVersion") == 2


def _object(content: bytes, what: str) -> dict[str, Any]:
    if len(content) > SIZE_LIMIT:
        raise BadImage(f"{what} has more than {SIZE_LIMIT} bytes")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadImage(f"{what} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadImage(f"{what} is no JSON object")
    return document


def _list(document: dict[str, Any]) -> list[dict[str, Any]]:
    listed = document.get("manifests")
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise BadImage("the index has no list of manifests")
    return listed


def _descriptor(value: object, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise BadImage(f"{where} has {value!r} where a descriptor belongs")
    named, size = value.get("digest"), value.get("size")
    if not isinstance(named, str) or not _DIGEST.fullmatch(named):
        raise BadImage(f"{where} names {named!r}, which is no sha256 digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 50:
        raise BadImage(f"{where} says that {named} has the size {size!r}")
    return Descriptor(named, size)


def _platform(value: object) -> Platform | None:
    if not isinstance(value, dict):
        return None
    parts = [value.get("os"), value.get("architecture"), value.get("variant") or ""]
    if not all(isinstance(part, str) for part in parts) or not all(parts[:2]):
        return None
    try:
        return parse("/".join(str(part) for part in parts if part))
    except InvalidArgument:  # an architecture that minicri has no name for still has its own
        return Platform(*(str(part) for part in parts))
