"""What the engine says of an image, as CRI's messages, and how CRI's names become the engine's. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cri import references
from cri.annotations import PLATFORM
from cri.errors import InvalidArgument
from cri.platforms import Platform, parse
from cri.v1 import api_pb2 as v1
from runtimes.shared import pause

_CONFIG = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal")
"""What an engine's words for an image's config have in common with OCI's."""
_SHORT_ID = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What stands in an image's config and therefore never changes for one id."""

    user: str
    platform: Platform


def facts(inspected: Mapping[str, Any]) -> ImageFacts:
    """Read an inspected image."""
    named = "/".join(
        str(inspected.get(key) or default)
        for key, default in (("Os", "linux"), ("Architecture", "amd64"), ("Variant", ""))
    )
    return ImageFacts(user=str((inspected.get("Config") or {}).get("User") or ""), platform=_platform(named))


def engine_name(text: str, *, field: str = "image.image") -> str:
    """The name by which the engine finds an image: an id stays, a reference is normalised. Raises InvalidArgument."""
    if references.is_image_id(text) or _SHORT_ID.fullmatch(text):
        return text
    reference = references.parse(text, field=field)
    return f"{reference.name}@{reference.digest}" if reference.digest else str(reference)


def image_id(text: str) -> str:
    """An image's id as CRI sees it, whether or not the engine puts the algorithm before it."""
    return text if text.startswith("sha256:") else f"sha256:{text}"


def image(found: Mapping[str, Any], known: ImageFacts) -> v1.Image:
    """CRI's Image of one that the engine listed or inspected. uid XOR username; neither is root."""
    # Docker 29 puts references by digest among the tags, and of an image without content the digest alone.
    said = {key: [each for each in found.get(key) or () if "<none>" not in each] for key in ("RepoTags", "RepoDigests")}
    tags = [str(references.parse(tag)) for tag in said["RepoTags"] if "@" not in tag]
    digests = [str(references.parse(digest)) for digest in said["RepoDigests"] if "@" in digest]
    answer = v1.Image(
        id=image_id(found["Id"]),
        repo_tags=tags,
        repo_digests=digests,
        size=max(int(found.get("Size") or 0), 1),
        spec=v1.ImageSpec(image=image_id(found["Id"]), annotations={PLATFORM: str(known.platform)}),
        pinned=pause.NAME in tags,
    )
    name = known.user.partition(":")[0]
    if name.isdecimal():
        answer.uid.value = int(name)
    else:
        answer.username = name
    return answer


def verbose(inspected: Mapping[str, Any], engine: str) -> dict[str, str]:
    """What a verbose status adds: the image's configuration as OCI writes it, where tools look for it, and the engine's
    own words."""
    config, layers = inspected.get("Config") or {}, (inspected.get("RootFS") or {}).get("Layers") or []
    spec = {key.lower(): inspected[key] for key in ("Created", "Architecture", "Os", "Variant") if inspected.get(key)}
    spec["config"] = {key: config[key] for key in _CONFIG if config.get(key)}
    spec["rootfs"] = {"type": "layers", "diff_ids": layers}
    return {"info": json.dumps({"imageSpec": spec}), engine: json.dumps(inspected)}


def _platform(text: str) -> Platform:
    try:
        return parse(text.rstrip("/"))
    except InvalidArgument:  # an architecture that minicri has no name for still has the engine's
        system, _, rest = text.rstrip("/").partition("/")
        return Platform(system, *rest.split("/", 1))
