"""Podman 4.3 or newer as a CRI runtime, through podman-py's client and the libpod API.

What may live here: what turns CRI messages into libpod's objects (``*_config.py``: pure) and back (``*_status.py``),
the small classes that perform the calls over one ``Engine`` (a file a noun), and ``PodmanRuntime``, which composes
them. Nothing here keeps state that matters: whatever has to survive this process stands in the engine, in names and
labels of pods and containers.
"""

from runtimes.podman.backend import PodmanBackend

backend = PodmanBackend()
"""What the entry point ``podman`` of the group ``cri.runtimes`` names."""

__all__ = ["backend"]
