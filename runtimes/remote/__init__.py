"""Any CRI v1 endpoint (containerd, CRI-O, another minicri) as a backend: ``cri.client`` under a plugin name.

What may live here: the backend's config, its probe and its opening, and what a client of a foreign endpoint needs more.
"""

from runtimes.remote.backend import RemoteBackend
from runtimes.remote.config import RemoteConfig

backend = RemoteBackend()
"""What the entry point ``remote`` of the group ``cri.runtimes`` names."""

__all__ = ["RemoteConfig", "backend"]
