"""The engine's own networks: sandboxes on bridges, attached, detached, and found again after a crash."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

from cri.annotations import NETWORK_ALIASES
from cri.errors import Aborted, CRIError, FailedPrecondition, PermissionDenied, Unimplemented
from runtimes.native.config import NativeConfig
from runtimes.native.database import Database
from runtimes.native.locks import Locks
from runtimes.native.network import attachment, inside, leases, namespaces, slirp
from runtimes.native.network.attachment import Attachment
from runtimes.native.network.host import HostNetwork
from runtimes.native.network.leases import LEAVING, MADE, AttachmentRow
from runtimes.native.network.leaving import Leaving
from runtimes.native.network.mtu import host_mtu
from runtimes.native.network.name_server import NameServer
from runtimes.native.network.names import EngineNames, mac_for
from runtimes.native.network.netlink import Netlink
from runtimes.native.network.plan import Plan
from runtimes.native.network.reservations import Reservation, Reservations, StillLeaving
from runtimes.native.places import Places
from runtimes.shared.inflight import uninterrupted

_ATTEMPTS = 5

_log = logging.getLogger(__name__)


class BridgedNetworks:
    """Those of the engine whose state is ``database``: the default one and those with names. To be closed."""

    def __init__(self, config: NativeConfig, places: Places, database: Database, locks: Locks) -> None:
        names = EngineNames(places.root)
        self._settings = config.network
        self._database = database
        self._reservations = Reservations(config.network, names, database)
        self._host = HostNetwork(names, database)
        self._leaving = Leaving(self._host, database)
        self._names = NameServer(places, database, locks)

    async def close(self) -> None:
        """See out what was detached, and the networks that nothing is on. Safe to call twice."""
        await uninterrupted(self._leaving.close())
        self._host.close()

    async def settle(self) -> None:
        """Wait until the links of what was detached are gone."""
        await self._leaving.settle()

    async def attach(self, sandbox_id: str, wanted: Plan, netns: Path) -> Attachment:
        """Whatever fails leaves what there is to ``detach``. Raises as ``Networks.attach``."""
        await self._drop_remains(sandbox_id)
        reserved = await self._reserve(sandbox_id, wanted)
        made = _attachment(reserved, wanted, netns, named=self._has_names(wanted))
        await namespaces.in_own_thread(partial(self._connect, reserved, wanted, netns))
        if slirp.is_there():
            await slirp.publish(wanted.ports)
        with self._database.write() as connection:
            leases.finish(connection, sandbox_id, made.facts())
        if made.dns and namespaces.is_at_home():
            await self._names.announce(reserved.network, sandbox_id, reserved.addresses[0])
        return made

    def find(self, sandbox_id: str) -> Attachment | None:
        """What ``attach`` answered; None once it was detached."""
        with self._database.read() as connection:
            row = leases.attachment(connection, sandbox_id)
        return Attachment.of_facts(row.facts) if row is not None and row.phase == MADE else None

    async def detach(self, sandbox_id: str) -> None:
        """Its ports are free at once, its addresses as soon as its link is gone, which nobody waits for. Safe to call
        twice, or for a sandbox that was never attached."""
        if slirp.is_there():
            with self._database.read() as connection:
                published = leases.published(connection, sandbox_id)
            await slirp.unpublish(published)  # before anybody else may be given them
        with self._database.write() as connection:
            row = leases.attachment(connection, sandbox_id)
            if row is None or row.phase == LEAVING:
                return
            published = leases.published(connection, sandbox_id)
            leases.leave(connection, sandbox_id)
        self._leaving.add(replace(row, phase=LEAVING))
        if row.network:
            await self._forget_names()
        if published:
            await namespaces.in_own_thread(partial(self._host.unpublish, published))

    async def recover(self, in_use: Callable[[], Collection[str]]) -> None:
        """Remove what is not ``in_use`` or was begun to be removed; put bridges, rules and names in order for the rest.
        See ``Networks.recover``."""
        await self._leaving.settle()
        with self._database.read() as connection:
            rows = leases.attachments(connection)
        kept = in_use()
        lost = [row for row in rows if row.phase == LEAVING or row.sandbox_id not in kept]
        with self._database.write() as connection:
            for row in lost:
                leases.leave(connection, row.sandbox_id)
            published = leases.published(connection)
        await uninterrupted(namespaces.in_own_thread(partial(self._restore, lost)))
        if slirp.is_there():
            await slirp.keep(published)
        await self._names.refresh(again=True)

    async def _forget_names(self) -> None:
        try:
            await self._names.refresh()
        except CRIError as error:
            # The sandbox is gone all the same, and its name goes when the next one comes.
            _log.warning("the names of a network cannot be brought up to date: %s", error.message)

    def _restore(self, lost: list[AttachmentRow]) -> None:
        going = {row.link for row in lost}
        # Links first, rows second: of what is made meanwhile there is a row before there is a link.
        links = self._host.sandbox_links()
        with self._database.read() as connection:
            kept = {row.link for row in leases.attachments(connection)} - going
            networks = [network.name for network in leases.networks(connection)]
        if gone := going.union(links) - kept:
            self._host.drop_links(gone)
        with self._database.write() as connection:
            leases.forget(connection, [row.sandbox_id for row in lost])
        self._host.remove_unused(networks)
        self._host.restore()

    def _connect(self, reserved: Reservation, wanted: Plan, netns: Path) -> None:
        """Blocking, and it takes its thread to the sandbox."""
        try:
            with namespaces.opened(netns) as namespace, Netlink() as netlink:
                self._host.connect(
                    netlink,
                    reserved.network,
                    reserved.link,
                    mac=wanted.request.mac or mac_for(reserved.addresses[0]),
                    mtu=self._settings.mtu or host_mtu(netlink),
                    namespace=namespace,
                )
                if reserved.published:
                    self._host.publish(netlink, reserved.link, reserved.published)
                inside.configure(namespace, reserved.interfaces, reserved.network.gateways, wanted.sysctls)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                raise PermissionDenied(f"networks need root (CAP_NET_ADMIN, CAP_SYS_ADMIN): {error}") from error
            raise FailedPrecondition(f"the sandbox cannot be connected: {error}") from error

    def _has_names(self, wanted: Plan) -> bool:
        """Whether the network has a name server. Raises Unimplemented where names are asked for that it cannot have."""
        if not wanted.request.is_named or (NameServer.is_available() and namespaces.is_at_home()):
            return wanted.request.is_named
        if wanted.request.aliases:
            raise Unimplemented(f"{NETWORK_ALIASES}: names on a network need root and the package aardvark-dns")
        return False

    async def _drop_remains(self, sandbox_id: str) -> None:
        """A sandbox is attached anew: what a crash left of the first time goes."""
        with self._database.read() as connection:
            row = leases.attachment(connection, sandbox_id)
        if row is not None:
            await self.detach(sandbox_id)
            await self._see_out(sandbox_id)

    async def _reserve(self, sandbox_id: str, wanted: Plan) -> Reservation:
        for _ in range(_ATTEMPTS):
            try:
                return self._reservations.make(sandbox_id, wanted)
            except StillLeaving as error:
                await self._see_out(*error.sandbox_ids)
                if not error.sandbox_ids:  # somebody died before the network was gone, too
                    await self._leaving.remove_unused([wanted.network])
        raise Aborted(f"what sandbox {sandbox_id} asks for is being given back right now; try again")

    async def _see_out(self, *sandbox_ids: str) -> None:
        """Wait for those that leave here, and do it for another process that does not."""
        await self._leaving.settle()
        with self._database.read() as connection:
            rows = [row for each in sandbox_ids if (row := leases.attachment(connection, each)) is not None]
        if rows:
            await self._leaving.drop(rows)


def _attachment(reserved: Reservation, wanted: Plan, netns: Path, *, named: bool) -> Attachment:
    ip, *additional = map(str, reserved.addresses)
    host = str(reserved.network.gateways[0])
    return Attachment(
        netns,
        ip,
        tuple(additional),
        dns=_dns(reserved, wanted, named=named),
        extra_hosts=attachment.extra_hosts(wanted.request, host),
        host=host,
        network=wanted.network,
        names=wanted.names if named else (),
        forwarders=wanted.forwarders if named else (),
    )


def _dns(reserved: Reservation, wanted: Plan, *, named: bool) -> tuple[str, ...] | None:
    if named:
        return (str(NameServer.address(reserved.network)),)
    # A resolver on the host's loopback cannot be reached from a network that is not the host's.
    return None if namespaces.is_at_home() or wanted.forwarders else (namespaces.SLIRP_DNS,)
