"""SELinux labels of containers: one level for a sandbox, so that its containers share files and no other's. Pure."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from cri.v1 import api_pb2 as v1

_CATEGORIES = 1024


class Labels(NamedTuple):
    """Of processes, and of the files that they may use."""

    process: str
    files: str


def labels(options: v1.SELinuxOption, sandbox_id: str) -> Labels:
    """What is not said is what container-selinux, the policy of all container engines, has for containers."""
    level = options.level or _level(sandbox_id)
    user = options.user or "system_u"
    process = f"{user}:{options.role or 'system_r'}:{options.type or 'container_t'}:{level}"
    return Labels(process, f"{user}:object_r:container_file_t:{level}")


def _level(sandbox_id: str) -> str:
    """Two categories of the sandbox's own, as far as half a million pairs go."""
    number = int.from_bytes(hashlib.sha256(sandbox_id.encode()).digest()[:8], "big")
    first = number % _CATEGORIES
    second = (first + 1 + number // _CATEGORIES % (_CATEGORIES - 1)) % _CATEGORIES
    return f"s0:c{min(first, second)},c{max(first, second)}"
