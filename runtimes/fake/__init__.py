"""A complete CRI runtime in memory, for the tests of anyone who builds on ``cri``. README.md says how to use it.

What may live here: the simulated world (``world`` and what it holds: clock, images, networks, processes, a small
shell), the operations on it (a file a noun), the script that makes it misbehave, and ``FakeRuntime``, which puts the
script in front of the operations. No engine, no process and no image is real; real are log files, streaming URLs and
the published ports, which listen on loopback.
"""

from runtimes.fake.backend import FakeBackend
from runtimes.fake.config import FakeConfig

backend = FakeBackend()
"""What the entry point ``fake`` of the group ``cri.runtimes`` names."""

__all__ = ["FakeConfig", "backend"]
