"""The host's mounts, as far as a container's depend on them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1

_MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


def check_propagation(mount: v1.Mount, mountinfo: Path = _MOUNTINFO) -> None:
    """Raises FailedPrecondition where the host path's own mount tells nobody of new ones below it: the container would
    wait for them in vain."""
    if mount.propagation == v1.PROPAGATION_PRIVATE:
        return
    place, tags = _mount_of(os.path.realpath(mount.host_path), mountinfo)
    shared, slave = any(tag.startswith("shared:") for tag in tags), any(tag.startswith("master:") for tag in tags)
    if mount.propagation == v1.PROPAGATION_BIDIRECTIONAL and not shared:
        raise FailedPrecondition(
            f"config.mounts: {mount.host_path!r} is on the mount {place!r}, which is not shared; "
            f"PROPAGATION_BIDIRECTIONAL needs that (mount --make-shared {place})"
        )
    if not shared and not slave:
        raise FailedPrecondition(
            f"config.mounts: {mount.host_path!r} is on the mount {place!r}, which is neither shared nor a slave; "
            f"PROPAGATION_HOST_TO_CONTAINER needs that (mount --make-shared {place})"
        )


def _mount_of(path: str, mountinfo: Path) -> tuple[str, list[str]]:
    """Where the last mount above ``path`` is, and its optional fields."""
    found, tags = "/", list[str]()
    for line in mountinfo.read_text(errors="surrogateescape").splitlines():
        left = line.partition(" - ")[0].split(" ")
        place = _OCTAL.sub(lambda code: chr(int(code[1], 8)), left[4])
        if len(place) >= len(found) and (path == place or path.startswith(place.rstrip("/") + "/")):
            found, tags = place, left[6:]
    return found, tags
