"""The pause processes of sandboxes that were seen to be ready: while one lives, no engine is asked again."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Generic, TypeVar

from runtimes.shared import processes

KEPT = 4096

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19
"""Which words of /proc/PID/stat, after the name of the program, say how it is and when it began."""
_OVER = (b"Z", b"X")

K = TypeVar("K")


class Pauses(Generic[K]):
    """What is known of a sandbox is certain while its process lives. Its number and the time when it began tell it from
    any other."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[int, bytes, K]] = OrderedDict()

    def note(self, sandbox_id: str, known: K, pid: int, container_id: str) -> None:
        """Of a ready sandbox, whose pause process is the first of ``container_id``. One that is not to be seen from
        here is passed over."""
        began = _alive(pid) if pid > 0 else b""
        if began and processes.is_of_container(pid, container_id):
            self._known[sandbox_id] = pid, began, known
            if len(self._known) > KEPT:
                self._known.popitem(last=False)

    def get(self, sandbox_id: str) -> K | None:
        """What is known of a sandbox that is certainly ready."""
        pid, began, known = self._known.get(sandbox_id, (0, b"", None))
        if began and _alive(pid) == began:
            return known
        self.forget(sandbox_id)
        return None

    def forget(self, sandbox_id: str) -> None:
        self._known.pop(sandbox_id, None)


def _alive(pid: int) -> bytes:
    """When the process began, in ticks since the boot; empty where there is none."""
    try:
        words = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return b""
    return b"" if words[_STATE] in _OVER else words[_STARTED]
