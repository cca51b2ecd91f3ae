"""Named networks: made when a sandbox asks for one that is not there, removed with the last sandbox of ours on it."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

from cri.annotations import NETWORK_SUBNETS
from cri.errors import CRIError, FailedPrecondition, InvalidArgument, NotFound
from cri.networks import NetworkRequest
from runtimes.docker.engine import Engine
from runtimes.docker.engine_errors import is_conflict
from runtimes.shared import labels

SWEEP_AGE = timedelta(minutes=10)
"""A network without a sandbox that is younger may have one in the making, in another process."""

_log = logging.getLogger(__name__)


def network_options(request: NetworkRequest) -> dict[str, Any]:
    """The arguments of the SDK's ``create_network``. Pure."""
    options: dict[str, Any] = {
        "name": request.network,
        "driver": "bridge",
        "check_duplicate": True,
        "enable_ipv6": request.ipv6 is not None or any(subnet.version == 6 for subnet in request.subnets),
        "labels": {labels.KIND: labels.NETWORK},
    }
    if request.subnets:
        options["ipam"] = {"Driver": "default", "Config": [{"Subnet": str(subnet)} for subnet in request.subnets]}
    return options


class Networks:
    """Networks of the engine by name.

    The engine refuses to remove a network with endpoints on it, but not a second one of the same name: old engines
    look for duplicates without a lock. So calls for one name take turns here, and after making one we look again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def require(self, request: NetworkRequest) -> bool:
        """See to it that the network is there; True when it was made now.

        One that is there is used as it is, whoever made it. Raises InvalidArgument when it has not the subnets asked
        for, or when the engine cannot make it so.
        """
        async with self._turn(request.network):
            while True:
                try:
                    found = await self._engine.call(self._engine.client.inspect_network, request.network)
                except NotFound:
                    if await self._create(request):
                        return True
                else:
                    _check_subnets(request, found)
                    return False

    async def release(self, name: str) -> None:
        """Remove the network if it is ours and nothing is on it. Never fails for one that is in use or gone."""
        async with self._turn(name):
            try:
                found = await self._engine.call(self._engine.client.inspect_network, name)
                if (found.get("Labels") or {}).get(labels.KIND) != labels.NETWORK or found.get("Containers"):
                    return
                await self._engine.call(self._engine.client.remove_network, found["Id"])
            except NotFound:
                return
            except FailedPrecondition:
                # Docker's words for "has active endpoints": somebody joined since we looked. It is theirs to remove.
                return
            except CRIError as error:
                _log.warning("network %s was left behind: %s", name, error.message)

    async def sweep(self) -> None:
        """Remove networks that a crash left between making them and making their first sandbox."""
        of_ours = {"label": [f"{labels.KIND}={labels.NETWORK}"]}
        for row in await self._engine.call(self._engine.client.networks, filters=of_ours):
            made = datetime.fromisoformat(re.sub(r"\.\d+", "", row["Created"]))
            if datetime.now(UTC) - made > SWEEP_AGE:
                await self.release(row["Name"])

    def _turn(self, name: str) -> asyncio.Lock:
        return self._turns.setdefault(name, asyncio.Lock())

    async def _create(self, request: NetworkRequest) -> bool:
        """False when somebody else was quicker."""
        client = self._engine.client
        try:
            made = await self._engine.call(client.create_network, **network_options(request))
        except FailedPrecondition as error:
            if is_conflict(error):
                return False
            raise
        except NotFound as error:
            # "could not find an available address pool": 404, as if something had been looked for.
            raise FailedPrecondition(
                f"network {request.network!r} cannot be made: {error.message}; name its subnets in "
                f"{NETWORK_SUBNETS}, for IPv6 too"
            ) from error
        listed = await self._engine.call(client.networks, names=[request.network])
        same = sorted((row["Created"], row["Id"]) for row in listed if row["Name"] == request.network)
        if same and same[0][1] != made["Id"]:
            await self._engine.call(client.remove_network, made["Id"])
            return False
        return True


def _check_subnets(request: NetworkRequest, found: dict[str, Any]) -> None:
    there = {config.get("Subnet") for config in (found.get("IPAM") or {}).get("Config") or ()}
    missing = [str(subnet) for subnet in request.subnets if str(subnet) not in there]
    if missing:
        raise InvalidArgument(
            f"{NETWORK_SUBNETS}: network {request.network!r} is there already and has "
            f"{', '.join(sorted(filter(None, there))) or 'no subnet'}, not {', '.join(missing)}"
        )
