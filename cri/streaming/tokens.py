"""Single-use tokens: what stands between a streaming URL and anyone else on the host.

CRI: a URL of Exec, Attach or PortForward works once, for a minute, and at most 1000 of them wait at any time.
Pure: no I/O, and the clock is handed in.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from cri.errors import ResourceExhausted

TOKEN_LIFETIME = 60.0
"""Seconds between the RPC's answer and the client's connection."""

MAX_OUTSTANDING = 1000
"""Tokens that were given out and neither used nor expired."""

_TOKEN_BYTES = 24  # 192 random bits: 32 URL-safe characters, without padding

_Request = TypeVar("_Request")


class TokenStore(Generic[_Request]):
    """Keeps a request until the client that holds its token comes to fetch it."""

    def __init__(
        self,
        *,
        lifetime: float = TOKEN_LIFETIME,
        capacity: int = MAX_OUTSTANDING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetime = lifetime
        self._capacity = capacity
        self._clock = clock
        # All tokens live equally long, so the order of insertion is the order of expiry.
        self._outstanding: dict[str, tuple[float, _Request]] = {}

    def __len__(self) -> int:
        self._forget_expired()
        return len(self._outstanding)

    def issue(self, request: _Request) -> str:
        """A new token for ``request``; ResourceExhausted while ``capacity`` of them wait."""
        self._forget_expired()
        if len(self._outstanding) >= self._capacity:
            raise ResourceExhausted(
                f"{self._capacity} streaming URLs wait to be used, which is the limit: "
                f"connect to them, or try again when they expire, at most {self._lifetime:g} s from now"
            )
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._outstanding[token] = (self._clock() + self._lifetime, request)
        return token

    def peek(self, token: str) -> _Request | None:
        """The request behind ``token``, which stays good; None when it is unknown, used or expired."""
        self._forget_expired()
        entry = self._outstanding.get(token)
        return None if entry is None else entry[1]

    def redeem(self, token: str) -> _Request | None:
        """The request behind ``token``, once; None when it is unknown, used or expired."""
        self._forget_expired()
        entry = self._outstanding.pop(token, None)
        return None if entry is None else entry[1]

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._outstanding:
            token = next(iter(self._outstanding))
            if now < self._outstanding[token][0]:
                return
            del self._outstanding[token]
