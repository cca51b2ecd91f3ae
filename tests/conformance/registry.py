"""Where the suite's images come from: the only module of the suite that knows the host's fixtures."""

from tests.host.images import Image
from tests.host.registry import PASSWORD, USER, Registry

__all__ = ["PASSWORD", "USER", "Image", "Registry"]
