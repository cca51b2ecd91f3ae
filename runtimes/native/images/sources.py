"""Images in files, as sources of the intake: OCI's layout, Docker's archive, a root file system."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cri import references
from cri.platforms import Platform
from runtimes.native.images import blob_files, manifests
from runtimes.native.images.archives import Contents
from runtimes.native.images.blob_files import BlobFile
from runtimes.native.images.failures import BadImage, translated
from runtimes.native.images.intake import Source
from runtimes.native.images.manifests import Descriptor
from runtimes.native.images.threads import apart

_CONTAINERD_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Found:
    """An image in an archive or a directory, and the normalised names that it has there."""

    source: Source
    names: tuple[str, ...]


class Layout:
    """An image of an OCI layout; ``top`` is its manifest or index, ``place`` tells the file of a blob."""

    def __init__(self, place: Callable[[str], BlobFile | Path], top: bytes) -> None:
        self._place = place
        self._top = top

    async def manifest(self, digest: str | None) -> bytes:
        return self._top if digest is None else _read(self._path(digest))

    async def blob(self, descriptor: Descriptor, target: Path) -> Path:
        found = self._place(descriptor.digest)
        if isinstance(found, Path):
            found = await apart(partial(blob_files.measured, found))
        return blob_files.require(found, descriptor)

    def _path(self, digest: str) -> Path:
        found = self._place(digest)
        return found if isinstance(found, Path) else found.path


class Assembled:
    """An image whose manifest nobody has written: it is made of a config and the files of the layers."""

    def __init__(self, config: BlobFile, layers: Sequence[BlobFile]) -> None:
        self._blobs = {blob.descriptor: blob.path for blob in (config, *layers)}
        document = {
            "schemaVersion": 2,
            "mediaType": manifests.OCI_MANIFEST,
            "config": _described(manifests.OCI_CONFIG, config.descriptor),
            "layers": [_described(manifests.OCI_LAYER, layer.descriptor) for layer in layers],
        }
        self._manifest = json.dumps(document).encode()

    async def manifest(self, digest: str | None) -> bytes:
        return self._manifest

    async def blob(self, descriptor: Descriptor, target: Path) -> Path:
        return self._blobs[descriptor]


def layout_images(index: bytes, place: Callable[[str], BlobFile | Path]) -> list[Found]:
    """The images of an ``index.json``. Those without a name are one image, for several platforms. Raises BadImage."""
    entries = _json(index, "index.json", "manifests")
    if not entries:
        raise BadImage("index.json names no image")
    by_digest: dict[str, set[str]] = {}
    for entry in entries:
        digest = entry.get("digest")
        if not isinstance(digest, str) or not references.is_image_id(digest):
            raise BadImage(f"index.json names {digest!r}, which is no sha256 digest")
        by_digest.setdefault(digest, set()).update(_names(entry.get("annotations")))
    if len(by_digest) > 1 and not any(by_digest.values()):
        return [Found(Layout(place, index), ())]
    found = []
    for digest, names in by_digest.items():
        blob = place(digest)
        content = _read(blob if isinstance(blob, Path) else blob.path)
        if manifests.digest(content) != digest:
            raise BadImage(f"the manifest {digest} is damaged")
        found.append(Found(Layout(place, content), tuple(sorted(names))))
    return found


def docker_images(contents: Contents) -> list[Found]:
    """The images of an archive as ``docker save`` writes it. Raises BadImage."""
    found = []
    for entry in _json(contents.read("manifest.json"), "manifest.json", None):
        config, layers, tags = entry.get("Config"), entry.get("Layers"), entry.get("RepoTags") or []
        if not isinstance(config, str) or not isinstance(layers, list) or not isinstance(tags, list):
            raise BadImage("manifest.json of the archive lacks Config, Layers or RepoTags")
        source = Assembled(contents.find(config), [contents.find(str(layer)) for layer in layers])
        found.append(Found(source, tuple(sorted({str(references.parse(str(tag))) for tag in tags}))))
    return found


def rootfs_image(layer: BlobFile, diff_id: str, platform: Platform, directory: Path) -> Found:
    """An image whose only layer is the tar of a root file system; its config is put into ``directory``."""
    document: dict[str, Any] = {
        "os": platform.os,
        "architecture": platform.architecture,
        "config": {"Env": [_PATH], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    if platform.variant:
        document["variant"] = platform.variant
    content = json.dumps(document, sort_keys=True).encode()
    with translated("the image's config cannot be stored"):
        (directory / "config").write_bytes(content)
    config = BlobFile(directory / "config", Descriptor(manifests.digest(content), len(content)))
    return Found(Assembled(config, [layer]), ())


def _described(media_type: str, descriptor: Descriptor) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": descriptor.digest, "size": descriptor.size}


def _names(annotations: object) -> set[str]:
    """``ref.name`` may be a tag alone, which names nothing by itself."""
    if not isinstance(annotations, Mapping):
        return set()
    name = str(annotations.get(_CONTAINERD_NAME) or annotations.get(_REF_NAME) or "")
    return {str(references.parse(name))} if "/" in name or ":" in name else set()


def _json(content: bytes, name: str, key: str | None) -> list[dict[str, Any]]:
    try:
        document = json.loads(content)
        listed = document if key is None else document[key]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise BadImage(f"{name} is none of an image: {error}") from error
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise BadImage(f"{name} has no list of images")
    return listed


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise BadImage(f"the image lacks the blob {path.name}")
    with translated(f"{path.name} cannot be read"), path.open("rb") as file:
        return file.read(manifests.SIZE_LIMIT + 1)
