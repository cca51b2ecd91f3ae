"""One image as the engine shows it, whatever store it keeps images in.

A store that holds a name's image for several platforms (Docker 29's own) shows the one of the host's platform, though
another was pulled: then it is empty. And its size of one is not the size that it lists. Its list of what is there, from
API 1.48 on, tells both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cri.platforms import Platform
from runtimes.docker.engine import Engine
from runtimes.shared import image_status


async def look(engine: Engine, name: str, wanted: Platform | None = None) -> dict[str, Any] | None:
    """The inspected image that the engine calls ``name``: for ``wanted`` where there is a choice, else the host's own
    or whichever is there. None where there is no such image. Raises NotFound for a name that is missing."""
    features = (await engine.facts()).features
    if not features.image_manifests:
        found: dict[str, Any] = await engine.call(engine.client.inspect_image, name)
        return found
    found = await _inspect(engine, name, {"manifests": "1"})
    there = available(found)
    if not there:
        return found
    own = image_status.facts(found).platform if found.get("Architecture") else None
    chosen = choose(list(there), own, wanted)
    if chosen is None:
        return None
    if chosen != own and features.image_platforms:
        other = await _inspect(engine, name, {"platform": json.dumps(there[chosen])})
        found = other | {"Id": found["Id"], "Manifests": found["Manifests"]}
    return found | {"Size": size(found)}


def available(found: Mapping[str, Any]) -> dict[Platform, dict[str, Any]]:
    """The platforms that are there, each as the engine names it; none where the store has just one."""
    images = [each for each in found.get("Manifests") or () if each["Kind"] == "image" and each["Available"]]
    # One that is being removed has lost the file that says what it is for.
    named = [each["ImageData"]["Platform"] for each in images if each["ImageData"]["Platform"].get("architecture")]
    keys = (("os", "Os"), ("architecture", "Architecture"), ("variant", "Variant"))
    return {image_status.facts({new: each.get(old) for old, new in keys}).platform: each for each in named}


def choose(there: list[Platform], own: Platform | None, wanted: Platform | None) -> Platform | None:
    """Which of the platforms that are there to show; None when ``wanted`` is not among them."""
    if wanted is not None:
        return next((each for each in there if wanted.runs(each)), None)
    return own if own in there else there[0]


def size(found: Mapping[str, Any]) -> int:
    """Bytes of all that is there of an image, packed and unpacked: what the engine's list says."""
    return sum(int(each["Size"]["Total"]) for each in found["Manifests"])


async def _inspect(engine: Engine, name: str, params: Mapping[str, str]) -> dict[str, Any]:
    """The SDK's own has no parameters."""
    answer = await engine.call(engine.client.ask, "GET", f"/images/{name}/json", params=params)
    found: dict[str, Any] = answer.json()
    return found
