"""Seccomp filters that crun has compiled once, for all containers with the same filter after that.

Compiling one takes crun as long as all the rest of making a container, and the result stands beside its state. It takes
such a result in place of compiling, through an annotation of its own; a runtime without that does as it ever did.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtimes.native import whole_files

ANNOTATION = "run.oci.seccomp_bpf_data"

_IN_STATE = "seccomp.bpf"
_INSTRUCTION = 8
_MOST = 4096 * _INSTRUCTION
"""Bytes of an instruction, and of the longest filter that the kernel takes."""


class CompiledFilters:
    """Kept in ``folder``, which root alone may enter, and which does not outlive a reboot: another kernel may want
    another filter. ``runtime`` is the program that compiles them. All processes of the engine may share the folder."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        self._folder = folder
        self._runtime = runtime

    def use(self, spec: dict[str, Any]) -> None:
        """Put the compiled filter into a new config, if there is one. Blocks for one small file."""
        place = self._place(spec)
        if place is None:
            return
        with contextlib.suppress(FileNotFoundError):
            code = place.read_bytes()
            if _is_filter(code):
                spec.setdefault("annotations", {})[ANNOTATION] = base64.b64encode(code).decode()

    def learn(self, spec: Mapping[str, Any], state: Path) -> None:
        """Keep what the runtime compiled for a container that it has created from ``spec``; ``state`` is its directory
        for it. Blocks for two small files, the first time only."""
        place = self._place(spec)
        if place is None or ANNOTATION in spec.get("annotations", {}) or place.exists():
            return
        try:
            code = (state / _IN_STATE).read_bytes()
        except FileNotFoundError:  # a runtime that leaves none
            return
        if _is_filter(code):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._keep(code, place)

    def _keep(self, code: bytes, place: Path) -> None:
        """The file is there whole, or not at all, and a nameless one is gone with whoever dies over it."""
        file = whole_files.nameless(self._folder)
        if file is not None:
            with file, contextlib.suppress(FileExistsError):  # another container was as quick
                file.write(code)
                file.flush()
                whole_files.name(file, place)

    def _place(self, spec: Mapping[str, Any]) -> Path | None:
        """None for no filter, and for one that somebody listens to: that is not all in the code."""
        filters = spec["linux"].get("seccomp")
        if not filters or "listenerPath" in filters:
            return None
        program = self._runtime.stat()
        parts = [filters, str(self._runtime), program.st_size, program.st_mtime_ns, os.uname().release]
        return self._folder / hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _is_filter(code: bytes) -> bool:
    return 0 < len(code) <= _MOST and len(code) % _INSTRUCTION == 0
