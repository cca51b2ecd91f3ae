"""The end of a container's process, seen from the host that it runs on: sooner than its engine tells."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from runtimes.shared import processes


@contextmanager
def held(pid: int, container_id: str) -> Iterator[int | None]:
    """A handle of the process ``pid`` while the block lasts; None when that is not, or not to be seen as, a process of
    the container."""
    try:
        handle = os.pidfd_open(pid) if pid > 0 else None
    except OSError:
        handle = None
    if handle is None:
        yield None
        return
    try:
        # Looked at while held: the number cannot have changed hands in between without the look noticing.
        yield handle if processes.is_of_container(pid, container_id) else None
    finally:
        os.close(handle)
