"""Named networks: made when a sandbox asks for one that is not there, removed with the last sandbox of ours on it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from weakref import WeakValueDictionary

from cri.annotations import NETWORK_SUBNETS
from cri.errors import CRIError, FailedPrecondition, InvalidArgument, NotFound
from cri.networks import NetworkRequest

SWEEP_AGE = timedelta(minutes=10)
"""A network without a sandbox that is younger may have one in the making, in another process."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """A network as the engine has it. ``is_ours`` says that we made it, ``in_use`` that something is on it."""

    name: str
    id: str
    is_ours: bool
    in_use: bool
    subnets: frozenset[str]
    created: datetime


class NamedNetworks(ABC):
    """Networks of one engine by name. Calls for one name take turns here."""

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def require(self, request: NetworkRequest) -> bool:
        """See to it that the network is there; True when it was made now.

        One that is there is used as it is, whoever made it. Raises InvalidArgument when it has not the subnets asked
        for, or when the engine cannot make it so.
        """
        async with self._turn(request.network):
            while True:
                try:
                    found = await self._inspect(request.network)
                except NotFound:
                    if await self._create(request):
                        return True
                else:
                    _check_subnets(request, found.subnets)
                    return False

    async def release(self, name: str) -> None:
        """Remove the network if it is ours and nothing is on it. Never fails for one that is in use or gone."""
        async with self._turn(name):
            try:
                found = await self._inspect(name)
                if not found.is_ours or found.in_use:
                    return
                await self._remove(found)
            except NotFound:
                return
            except FailedPrecondition:
                # The engine's answer when somebody joined since we looked. It is theirs to remove.
                return
            except CRIError as error:
                _log.warning("network %s was left behind: %s", name, error.message)

    async def sweep(self) -> None:
        """Remove networks that a crash left between making them and making their first sandbox."""
        for found in await self._ours():
            if datetime.now(UTC) - found.created > SWEEP_AGE:
                await self.release(found.name)

    def _turn(self, name: str) -> asyncio.Lock:
        return self._turns.setdefault(name, asyncio.Lock())

    @abstractmethod
    async def _inspect(self, name: str) -> NetworkFacts:
        """Raises NotFound."""

    @abstractmethod
    async def _create(self, request: NetworkRequest) -> bool:
        """False when somebody else was quicker. Raises InvalidArgument, FailedPrecondition."""

    @abstractmethod
    async def _remove(self, found: NetworkFacts) -> None:
        """Raises NotFound, and FailedPrecondition for one in use."""

    @abstractmethod
    async def _ours(self) -> Iterable[NetworkFacts]:
        """The networks that we made."""


def _check_subnets(request: NetworkRequest, there: frozenset[str]) -> None:
    missing = [str(subnet) for subnet in request.subnets if str(subnet) not in there]
    if missing:
        raise InvalidArgument(
            f"{NETWORK_SUBNETS}: network {request.network!r} is there already and has "
            f"{', '.join(sorted(there)) or 'no subnet'}, not {', '.join(missing)}"
        )
