"""Texts that no message may show, such as the values of secrets."""

from __future__ import annotations

from collections.abc import Collection

MASK = "***"

SHORTEST = 4
"""Characters. What is shorter is no secret, and would make every other message unreadable."""


def masked(text: str, hidden: Collection[str]) -> str:
    """``text`` without any of ``hidden``, nor any line of one that has several."""
    parts = {part.strip() for each in hidden for part in (each, *each.splitlines())}
    for part in sorted(parts, key=len, reverse=True):  # one may be a part of another
        if len(part) >= SHORTEST:
            text = text.replace(part, MASK)
    return text
