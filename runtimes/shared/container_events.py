"""CRI's events of containers and sandboxes, made from what is seen when the engine says that something happened.

The engine's word is only the cause to look. What is emitted is the way from what was known to what is seen now, so an
event that the engine repeats, or one that was missed while it was away, makes no difference.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

from cri.errors import CRIError, Unavailable
from cri.v1 import api_pb2 as v1
from runtimes.shared.fanout import Fanout, Subscription
from runtimes.shared.life import End, Life, Look, unseen_end
from runtimes.shared.lifecycle import Phase, events_between

GRAVES = 4096
"""Removed containers that are remembered, so that an event which the engine repeats does not revive one."""

RETRY = 1.0
"""Seconds until a relist that failed is tried again while the engine seems to be there."""

_log = logging.getLogger(__name__)


class Told(NamedTuple):
    """What an engine says of one container. ``life`` is what can be known without a look; None for a stranger.
    ``end`` comes with the news that its process has ended; ``look`` is what a look would have shown at that moment,
    where that is known."""

    container_id: str
    reached: Phase
    life: Life | None
    end: End | None = None
    look: Look | None = None


class Source(Protocol):
    """What an engine shows and tells."""

    async def list(self) -> Sequence[Told]:
        """Everything of ours that is there, as far as a list shows."""

    async def look(self, life: Life) -> Look | None:
        """What it is now; None when it is gone."""

    def is_draining(self, container_id: str) -> bool:
        """Whether its end is better told later, because output may be missing in its log."""

    async def drained(self, container_id: str) -> None:
        """Return when its end may be told."""


class ContainerEvents:
    """One look at the engine for all subscribers. Without any, only the engine's words are noted, which costs no
    calls; so what a subscriber hears begins with its subscription, without a gap."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._fanout: Fanout[v1.ContainerEventResponse] = Fanout()
        self._lives: dict[str, Life] = {}
        self._graves: OrderedDict[str, None] = OrderedDict()
        self._causes: asyncio.Queue[Coroutine[Any, Any, None]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take in what is there, silently, and listen. Raises what the first list raises."""
        await self._relist(silently=True)
        self._spawn(self._work())

    async def aclose(self) -> None:
        """End all subscriptions and tasks. Safe to call twice."""
        self._fanout.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        while not self._causes.empty():
            self._causes.get_nowait().close()

    def subscribe(self) -> Subscription[v1.ContainerEventResponse]:
        """Every event from now on."""
        return self._fanout.subscribe()

    def look_again(self, container_id: str) -> None:
        """Something happened to a container of which the engine tells nothing: a start that failed."""
        if not self._fanout.closed:
            self._causes.put_nowait(self._look_at(container_id))

    def relist_soon(self) -> None:
        """The engine is there again, or something may have been missed: compare everything."""
        if not self._fanout.closed:
            self._causes.put_nowait(self._relist(silently=False))

    def hear(self, told: Told) -> None:
        """The engine tells of something that happened. Never waits."""
        self._causes.put_nowait(self._heard(told))

    # --- causes to look, one after the other ----------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            cause = await self._causes.get()
            try:
                await cause
            except Unavailable:
                continue  # there is a relist as soon as it is back
            except CRIError as error:
                _log.warning("events: a look at the engine failed, another follows: %s", error.message)
                asyncio.get_running_loop().call_later(RETRY, self.relist_soon)

    async def _heard(self, told: Told) -> None:
        life = self._lives.get(told.container_id)
        if life is None and told.container_id not in self._graves:
            life = self._enter(told)
        if life is not None and not (told.reached is life.phase is life.seen is Phase.RUNNING):
            # Else the look that showed it running has told so, and nothing happened since.
            life.ran |= told.reached in (Phase.RUNNING, Phase.EXITED)
            life.end = told.end or life.end
            await self._see(life, told.reached, told.look)

    async def _look_at(self, container_id: str) -> None:
        life = self._lives.get(container_id)
        if life is not None:
            await self._see(life, life.phase)

    async def _relist(self, *, silently: bool) -> None:
        """Compare everything that is there with everything that is known."""
        listed = await self._source.list()
        gone = self._lives.keys() - {told.container_id for told in listed}
        for told in listed:
            life = self._lives.get(told.container_id) or self._enter(told)
            if life is None or life.phase == told.reached:
                continue
            life.ran |= told.reached in (Phase.RUNNING, Phase.EXITED)
            if silently:
                life.phase = told.reached
            else:
                await self._see(life, told.reached)
        for container_id in gone:
            await self._see(self._lives[container_id], Phase.DELETED)

    def _enter(self, told: Told) -> Life | None:
        """Begin to know it, unless it is a stranger."""
        if told.life is not None:
            self._lives[told.container_id] = told.life
        return told.life

    # --- from a look to events ------------------------------------------------------------------------------------

    async def _see(self, life: Life, reached: Phase, look: Look | None = None) -> None:
        """Emit what lies between what is known and what is there now, which is ``reached`` at least, or what ``look``
        shows. What happened since then is told next."""
        life.is_fresh = False
        if reached is Phase.DELETED and life.end is None:
            life.end = unseen_end(time.time_ns())
        if not self._fanout.heard:
            life.phase = max(life.phase, reached)
        else:
            # Only a look shows that it was started again; the engine's word may come after what was told already.
            seen = max(life.phase, reached)
            if look is not None and life.phase < reached:
                life.take_in(look)
            elif reached is not Phase.DELETED and await self._look(life):
                seen = max(reached, life.seen)
            await self._emit(life, seen)
        if life.phase is Phase.DELETED:
            self._bury(life)

    async def _emit(self, life: Life, seen: Phase) -> None:
        if seen is Phase.EXITED and self._source.is_draining(life.container_id):
            # Who hears of the end reads the log next. The end is told when there is nothing to be missed in it.
            self._spawn(self._tell_when_settled(life.container_id))
            seen = max(life.phase, Phase.RUNNING)
        before = life.phase
        for kind in events_between(before, seen, ran=life.ran):
            # Of one that is gone already, the news of its end still has a status.
            life.phase = Phase.EXITED if kind == v1.CONTAINER_STOPPED_EVENT else seen
            self._fanout.publish(await self._event(life, kind))
        life.phase = seen

    async def _tell_when_settled(self, container_id: str) -> None:
        await self._source.drained(container_id)
        self.look_again(container_id)

    async def _event(self, life: Life, kind: v1.ContainerEventType) -> v1.ContainerEventResponse:
        members = [each for each in self._lives.values() if each.sandbox_id == life.sandbox_id]
        for each in members:
            if not each.is_fresh and each.phase is not Phase.DELETED:
                await self._look(each)
        event = v1.ContainerEventResponse(
            container_id=life.container_id,
            container_event_type=kind,
            created_at=life.stamp(kind, time.time_ns()),
        )
        for each in members:
            if each.is_sandbox:
                event.pod_sandbox_status.CopyFrom(each.sandbox_status())
            elif each.phase is not Phase.DELETED:
                event.containers_statuses.append(each.container_status())
        event.containers_statuses.sort(key=lambda status: (status.created_at, status.id))
        return event

    async def _look(self, life: Life) -> bool:
        """Take in what the engine says of it now; False when it is gone, or nobody answers."""
        try:
            look = await self._source.look(life)
        except CRIError as error:
            _log.warning("events: container %s cannot be looked at: %s", life.container_id, error.message)
            return False
        if look is not None:
            life.take_in(look)
        return look is not None

    def _bury(self, life: Life) -> None:
        self._lives.pop(life.container_id, None)
        self._graves[life.container_id] = None
        if len(self._graves) > GRAVES:
            self._graves.popitem(last=False)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
