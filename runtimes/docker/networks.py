"""Named networks in Docker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cri.annotations import NETWORK_SUBNETS
from cri.errors import FailedPrecondition, NotFound
from cri.networks import NetworkRequest
from runtimes.docker.engine import Engine
from runtimes.docker.engine_errors import is_conflict
from runtimes.shared import labels
from runtimes.shared.named_networks import NamedNetworks, NetworkFacts


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


class Networks(NamedNetworks):
    """The engine refuses to remove a network with endpoints on it, but not a second one of the same name: old engines
    look for duplicates without a lock. So after making one we look again.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    async def _inspect(self, name: str) -> NetworkFacts:
        return _facts(await self._engine.call(self._engine.client.inspect_network, name))

    async def _remove(self, found: NetworkFacts) -> None:
        await self._engine.call(self._engine.client.remove_network, found.id)

    async def _ours(self) -> list[NetworkFacts]:
        of_ours = {"label": [f"{labels.KIND}={labels.NETWORK}"]}
        return [_facts(row) for row in await self._engine.call(self._engine.client.networks, filters=of_ours)]

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


def _facts(found: Mapping[str, Any]) -> NetworkFacts:
    configs = (found.get("IPAM") or {}).get("Config") or ()
    return NetworkFacts(
        name=found["Name"],
        id=found["Id"],
        is_ours=(found.get("Labels") or {}).get(labels.KIND) == labels.NETWORK,
        in_use=bool(found.get("Containers")),
        subnets=frozenset(config["Subnet"] for config in configs if config.get("Subnet")),
        created=datetime.fromisoformat(re.sub(r"\.\d+", "", found["Created"])),
    )
