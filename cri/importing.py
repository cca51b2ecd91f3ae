"""What a runtime may be able to do beyond CRI: take in an image from a file, where there is no registry."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class ImportsImages(Protocol):
    """A runtime that has this method can. Across a network none can: a path means nothing there."""

    async def import_image(self, path: Path, name: str = "", platform: str = "") -> list[str]:
        """Take in the images in ``path``, and give their ids. It is an archive of Docker or OCI, an OCI layout, or a
        root file system as a tar or a directory, which becomes one.

        ``name`` is the image's in place of those that stand in ``path``; ``platform`` (``os/arch/variant``) chooses
        among several, and says what a root file system is for. Raises NotFound, InvalidArgument, PlatformMismatch,
        ResourceExhausted.
        """
