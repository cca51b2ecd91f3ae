"""What tests of the client share: both transports, and where output goes."""

from __future__ import annotations

from typing import Literal

import pytest

Transport = Literal["websocket", "spdy"]
both = pytest.mark.parametrize("transport", ["websocket", "spdy"])


class Collected:
    def __init__(self) -> None:
        self.data = b""

    async def __call__(self, data: bytes) -> None:
        self.data += data
