"""Named networks in Podman."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from cri.errors import AlreadyExists, FailedPrecondition
from cri.networks import NetworkRequest
from runtimes.podman.engine import Engine
from runtimes.podman.engine_errors import is_conflict
from runtimes.shared import labels, pause
from runtimes.shared.inflight import uninterrupted
from runtimes.shared.named_networks import NamedNetworks, NetworkFacts


def network_options(request: NetworkRequest, interface: str) -> dict[str, Any]:
    """The body of /networks/create. Pure."""
    options: dict[str, Any] = {
        "name": request.network,
        "driver": "bridge",
        "network_interface": interface,
        "dns_enabled": True,
        "ipv6_enabled": request.ipv6 is not None or any(subnet.version == 6 for subnet in request.subnets),
        "labels": {labels.KIND: labels.NETWORK},
    }
    if request.subnets:
        options["subnets"] = [{"subnet": str(subnet)} for subnet in request.subnets]
    return options


class Networks(NamedNetworks):
    """Podman refuses a second network of one name, and to remove one that containers are configured with."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._default = ""

    async def host_address(self, name: str) -> str:
        """The host's own address on the network ``name``, empty for the default one. Raises FailedPrecondition for a
        network on which the host has none."""
        network = name or await self._default_name()
        found = await self._engine.get(f"/networks/{network}/json")
        gateways = [each["gateway"] for each in found.get("subnets") or () if each.get("gateway")]
        if not gateways:
            raise FailedPrecondition(f"the host has no address on network {network!r}")
        return str(min(gateways, key=lambda text: ip_address(text).version))

    async def _default_name(self) -> str:
        """Podman tells the name of its default network only of a container that is on it: of one that never runs."""
        if not self._default:
            body = {"image": pause.NAME, "netns": {"nsmode": "bridge"}, "labels": {labels.KIND: labels.NETWORK}}
            made = await self._engine.post("/containers/create", body=body)
            try:
                found = await self._engine.get(f"/containers/{made['Id']}/json")
            finally:
                await uninterrupted(self._engine.delete(f"/containers/{made['Id']}"))
            self._default = next(iter(found["NetworkSettings"]["Networks"]))
        return self._default

    async def _inspect(self, name: str) -> NetworkFacts:
        return _facts(await self._engine.get(f"/networks/{name}/json"))

    async def _remove(self, found: NetworkFacts) -> None:
        await self._engine.delete(f"/networks/{found.name}")

    async def _ours(self) -> list[NetworkFacts]:
        of_ours = json.dumps({"label": [f"{labels.KIND}={labels.NETWORK}"]})
        return [_facts(row) for row in await self._engine.get("/networks/json", params={"filters": of_ours}) or ()]

    async def _create(self, request: NetworkRequest) -> bool:
        # Podman numbers its bridges from those that it knows and those that are up now: two engines of one host, or one
        # whose networks are all idle, would come to the same name.
        interface = f"mcri-{secrets.token_hex(4)}"
        try:
            await self._engine.post_again("/networks/create", body=network_options(request, interface))
        except AlreadyExists:
            return False
        except FailedPrecondition as error:
            if is_conflict(error):
                return False
            raise
        return True


def _facts(found: Mapping[str, Any]) -> NetworkFacts:
    return NetworkFacts(
        name=found["name"],
        id=found["id"],
        is_ours=(found.get("labels") or {}).get(labels.KIND) == labels.NETWORK,
        in_use=bool(found.get("containers")),
        subnets=frozenset(each["subnet"] for each in found.get("subnets") or ()),
        created=datetime.fromisoformat(_whole_seconds(found["created"])),
    )


def _whole_seconds(text: str) -> str:
    """``2026-11-24T14:15:57.793247069Z`` -> ``2026-11-24T14:15:57+00:00``."""
    day_and_time, zone = text[:19], text[19:].lstrip(".0123456789")
    return day_and_time + (zone if zone != "Z" else "+00:00")
