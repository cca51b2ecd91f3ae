"""Times as Docker takes them."""

from __future__ import annotations


def engine_time(time_ns: int) -> str:
    """Nanoseconds since the epoch as the engine takes them in ``since``: seconds with a fraction."""
    return "{}.{:09d}".format(*divmod(time_ns, 1_000_000_000))
