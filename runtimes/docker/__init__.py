"""Docker Engine (API 1.41, that is 20.10, or newer) as a CRI runtime, through the docker SDK.

What may live here: what turns CRI messages into Docker API objects (``*_config.py``: pure), the small classes that
perform the calls over one ``Engine`` (a file a noun), and ``DockerRuntime``, which composes them. Nothing here keeps
state that matters: whatever has to survive this process stands in the engine, in names and labels.
"""

from runtimes.docker.backend import DockerBackend

backend = DockerBackend()
"""What the entry point ``docker`` of the group ``cri.runtimes`` names."""

__all__ = ["backend"]
