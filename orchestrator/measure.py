"""``Measure``: who wants to count hears here of what the history does not tell. Deaf unless somebody listens."""

from __future__ import annotations


class Measure:
    """Each method is told of something that has happened."""

    def probed(self, kind: str, passed: bool) -> None:
        """A probe, ``startup``, ``readiness`` or ``liveness``, had its answer."""

    def reconciled(self, seconds: float) -> None:
        """Everything known was compared with everything there is."""

    def collected(self, kind: str, count: int) -> None:
        """So many ``log`` files or ``image``s were removed."""
