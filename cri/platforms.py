"""``os/arch/variant``: reading, normalising and comparing the platform of an image. Pure.

Names are those of the OCI image specification (Go's ``GOOS`` and ``GOARCH``); the kernel's spellings (``x86_64``,
``aarch64``) are understood.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cri.annotations import PLATFORM
from cri.errors import InvalidArgument

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
}
_KNOWN = frozenset(
    [
        "386",
        "amd64",
        "arm",
        "arm64",
        "loong64",
        "mips",
        "mips64",
        "mips64le",
        "mipsle",
        "ppc64",
        "ppc64le",
        "riscv64",
        "s390x",
        "wasm",
    ]
)


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform in OCI's words. ``variant`` is empty where the architecture has a usual one."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def runs(self, image: Platform) -> bool:
        """Whether ``image`` is what this platform asks for. An unsaid variant on either side is no demand."""
        if (self.os, self.architecture) != (image.os, image.architecture):
            return False
        return not self.variant or not image.variant or self.variant == image.variant


def parse(text: str, *, field: str = PLATFORM) -> Platform:
    """``linux/arm64/v8`` -> Platform. Raises InvalidArgument that names ``field``, the value and the form."""
    parts = text.strip().lower().split("/")
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise InvalidArgument(f"{field}: {text!r} is not a platform; write os/arch or os/arch/variant, linux/arm64/v8")
    architecture, implied = _ARCHITECTURES.get(parts[1], (parts[1], ""))
    if architecture not in _KNOWN:
        raise InvalidArgument(
            f"{field}: unknown architecture {parts[1]!r} in {text!r}; known: {', '.join(sorted(_KNOWN))}"
        )
    variant = parts[2] if len(parts) == 3 else implied
    if (architecture, variant) == ("arm64", "v8") or (architecture, variant) == ("amd64", "v1"):
        variant = ""
    return Platform(parts[0], architecture, variant)


def host() -> Platform:
    """The platform of this machine's kernel."""
    system = os.uname()
    architecture, variant = _ARCHITECTURES.get(system.machine.lower(), (system.machine.lower(), ""))
    return Platform(system.sysname.lower(), architecture, variant)


def wanted(*annotations: Mapping[str, str]) -> Platform | None:
    """The first platform said in ``annotations``, which go from the most specific place to the least."""
    for each in annotations:
        if each.get(PLATFORM):
            return parse(each[PLATFORM])
    return None
