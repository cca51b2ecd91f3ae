"""Which of an image's platforms is shown, in a store that holds several; no engine is needed."""

from __future__ import annotations

from typing import Any

import pytest

from cri.platforms import Platform, parse
from runtimes.docker import image_look

AMD, ARM, RISCV = (parse(f"linux/{each}") for each in ("amd64", "arm64", "riscv64"))


def manifest(platform: str, *, kind: str = "image", available: bool = True, total: int = 10) -> dict[str, Any]:
    system, architecture, *variant = platform.split("/")
    named = {"os": system, "architecture": architecture} | ({"variant": variant[0]} if variant else {})
    return {"Kind": kind, "Available": available, "Size": {"Total": total}, "ImageData": {"Platform": named}}


def test_a_platform_is_there_when_its_content_is() -> None:
    attestation: dict[str, Any] = {"Kind": "attestation", "Available": True, "Size": {"Total": 1}}
    manifests = [manifest("linux/arm64/v8"), manifest("linux/amd64", available=False), attestation]
    assert list(image_look.available({"Manifests": manifests})) == [ARM]
    assert image_look.size({"Manifests": manifests}) == 21


def test_a_store_of_one_platform_tells_of_none() -> None:
    assert image_look.available({"Id": "sha256:1"}) == {}
    assert image_look.available({"Manifests": None}) == {}


def test_an_image_that_is_being_removed_is_for_nothing() -> None:
    assert image_look.available({"Manifests": [manifest("/")]}) == {}


@pytest.mark.parametrize(
    ("there", "own", "wanted", "chosen"),
    [
        ([AMD, ARM], AMD, None, AMD),
        ([ARM, RISCV], AMD, None, ARM),
        ([ARM], None, None, ARM),
        ([AMD, ARM], AMD, ARM, ARM),
        ([AMD, ARM], AMD, RISCV, None),
    ],
)
def test_the_wanted_is_shown_or_the_hosts_own_or_whichever_is_there(
    there: list[Platform], own: Platform | None, wanted: Platform | None, chosen: Platform | None
) -> None:
    assert image_look.choose(there, own, wanted) == chosen
