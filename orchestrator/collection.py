"""What goes, by the limits, of the logs of earlier attempts. Pure; of images, ``cri.image_collection`` says it.

Dead containers and sandboxes have no limit of their own: none of them outlasts the start of the next attempt or the
end of its task. Whatever is in doubt stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cri.image_collection import ImageLimits
from orchestrator.task import Task

_LOG = re.compile(r"(?:.*\.)?(\d+)\.log(?:\..*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(ImageLimits):
    """Times in seconds; a time of 0 is no limit."""

    collect_every: float = 60.0
    """How often it is looked what has become too much."""
    log_attempts: int = 5
    """Of how many attempts of a task the logs are kept, the newest one included."""
    log_age: float = 7 * 86400.0
    """How long the logs of earlier attempts are kept after the last line."""


def stale_logs(task: Task, files: Mapping[str, float], limits: Limits, now: float) -> list[str]:
    """Which log files of a task go; ``files`` are their names, with the times of the last write."""
    stale: list[str] = []
    for name, written in sorted(files.items()):
        found = _LOG.fullmatch(name)
        if found is None or (attempt := int(found[1])) >= task.attempt:
            continue
        old = 0 < limits.log_age <= now - written
        if old or attempt <= task.attempt - limits.log_attempts:
            stale.append(name)
    return stale
