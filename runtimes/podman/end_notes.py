"""Notes on how a container ended, in the directory that Podman has for it: they outlive this process, and go with the
container. Best effort: an engine elsewhere, or of another user, has none."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OUT_OF_MEMORY = "minicri-out-of-memory"
OF_THE_MONITOR = "oom"
"""Its own name for that, where it notices. The engine reads it when it learns of the end, and takes it away a little
later, whoever wrote it."""
FAILED_START = "minicri-failed-start"


def failed_start(found: Mapping[str, Any]) -> str:
    """Why the start of an inspected container failed; empty where that is not noted."""
    try:
        return _file(found, FAILED_START).read_text(errors="replace")
    except OSError:
        return ""


def note_failed_start(found: Mapping[str, Any], why: str) -> None:
    with contextlib.suppress(OSError):
        _file(found, FAILED_START).write_text(why)


def ran_out_of_memory(found: Mapping[str, Any]) -> bool:
    """Whether that is noted of an inspected container."""
    try:
        return _file(found, OUT_OF_MEMORY).exists() or _file(found, OF_THE_MONITOR).exists()
    except OSError:
        return False


def note_out_of_memory(found: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):
        _file(found, OUT_OF_MEMORY).touch()


def _file(found: Mapping[str, Any], name: str) -> Path:
    """Raises FileNotFoundError where the engine names no directory."""
    if not found.get("StaticDir"):
        raise FileNotFoundError(f"container {found['Id']} has no directory")
    return Path(found["StaticDir"], name)
