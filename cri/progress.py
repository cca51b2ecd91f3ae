"""Progress of an image pull, for a person who watches. CRI's PullImage has no field for it.

The listener sits in a context variable, so nothing in the ``Runtime`` signature changes: a backend in this process
reports, a caller in this process may listen, and across a network there is simply nobody to hear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of one layer. ``current`` and ``total`` are bytes; ``total`` is 0 while unknown."""

    image: str
    layer: str
    status: str
    current: int = 0
    total: int = 0


Listener = Callable[[Progress], None]

_listener: ContextVar[Listener | None] = ContextVar("pull_progress_listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Pulls awaited inside the block report to ``listener``, which must be quick and must not raise."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(progress: Progress) -> None:
    """Called by backends. Costs nothing where nobody listens."""
    listener = _listener.get()
    if listener is not None:
        listener(progress)
