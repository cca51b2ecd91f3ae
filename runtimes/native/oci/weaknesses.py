"""What versions of OCI runtimes are known to do wrong, where we cannot make it good. Pure."""

from __future__ import annotations

import re

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-rc\.?(\d+))?")
_MENDED = ((1, 1, 14, 0), (1, 2, 0, -97))
"""The first versions of runc without CVE-2024-45310, in either line. A candidate is before its release: rc.3 is -97."""


def of(name: str, version: str) -> str:
    """What is wrong with it and what the way out is; empty for nothing that is known, and for a version that does not
    say."""
    found = _VERSION.match(version)
    if name != "runc" or found is None:
        return ""
    major, minor, patch, candidate = found.groups()
    number = (int(major), int(minor), int(patch), int(candidate) - 100 if candidate else 0)
    line = _MENDED[0] if number[:3] < (1, 2, 0) else _MENDED[1]
    if number >= line:
        return ""
    return (
        f"runc {version} has CVE-2024-45310, unless whoever packaged it has mended that: a container that exchanges "
        "links in a volume, while another one with a mount below that volume is made, can have empty directories made "
        "on the host; use crun, or runc 1.1.14, 1.2.0 or newer"
    )
