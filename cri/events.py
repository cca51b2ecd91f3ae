"""A runtime's events for as long as somebody listens: a stream that ends is opened again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable

from cri.errors import CRIError, Unimplemented
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1

_log = logging.getLogger(__name__)

_RECONNECT = (0.1, 5.0)
"""Seconds before the stream is opened again: at first, at most."""


async def listen(runtime: Runtime, opening: Callable[[], None]) -> AsyncGenerator[v1.ContainerEventResponse]:
    """Every event from now on, until closed, but for those between two streams: ``opening`` is called before each, for
    a list that is taken then shows what happened. Raises Unimplemented where the runtime has no events."""
    pause, longest = _RECONNECT
    said = ""
    while True:
        opened = time.monotonic()
        why = "it closed the stream"
        try:
            opening()
            async for event in runtime.get_container_events(v1.GetEventsRequest()):
                said = ""
                yield event
        except Unimplemented:
            raise
        except CRIError as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - logged; a bug of a runtime must not end the looking
            _log.exception("the runtime's events ended in a way that no runtime may")
            why = repr(error)
        if why != said:
            _log.warning("no events from the runtime (%s); trying again until there are", why)
            said = why
        if time.monotonic() - opened > longest:
            pause = _RECONNECT[0]
        await asyncio.sleep(pause)
        pause = min(longest, pause * 2)
