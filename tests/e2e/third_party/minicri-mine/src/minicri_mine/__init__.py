"""A runtime for minicri to start one's own from. Its engine is another installed runtime: put yours there.

``backend`` is what the entry point names, ``runtime`` the contract, ``streams`` what goes through the URLs.
"""

from .backend import MineBackend

backend = MineBackend()

__all__ = ["backend"]
