"""Sandboxes and their networks: which kind each has, and that none of any is left."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from cri.errors import CRIError, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.database import Database
from runtimes.native.locks import Locks
from runtimes.native.network import attachment, inside, namespaces, plan
from runtimes.native.network.attachment import Attachment
from runtimes.native.network.bridged import BridgedNetworks
from runtimes.native.network.cni import Cni
from runtimes.native.places import Places
from runtimes.shared.inflight import uninterrupted

_log = logging.getLogger(__name__)


class Networks:
    """All networks of the engine whose state is ``database``. Other processes may work on the same. To be closed."""

    def __init__(self, config: NativeConfig, places: Places, database: Database, locks: Locks) -> None:
        settings = config.network
        self._bridged = BridgedNetworks(config, places, database, locks)
        self._cni = Cni(database, locks, settings.cni_config_dir, settings.cni_bin_dirs, config.call_timeout)
        self._default_is_cni = bool(settings.cni_config_dir)

    async def close(self) -> None:
        """See out what was detached, and the networks that nothing is on. Safe to call twice."""
        await self._bridged.close()

    async def settle(self) -> None:
        """Wait until the links of what was detached are gone."""
        await self._bridged.settle()

    async def attach(self, sandbox_id: str, config: v1.PodSandboxConfig, *, netns: Path | None) -> Attachment:
        """Connect the network namespace ``netns`` as the config asks for, all of it or nothing.

        Raises InvalidArgument, AlreadyExists for an address or a port of the host that somebody has,
        FailedPrecondition, ResourceExhausted, PermissionDenied, Unimplemented for a program that is not there.
        """
        wanted = plan.read(config)
        if wanted.is_host:
            return Attachment(None, extra_hosts=attachment.extra_hosts(wanted.request, attachment.HOST_ITSELF))
        if netns is None:
            raise InvalidArgument("a sandbox that is not on the host's network needs a network namespace")
        if wanted.is_none:
            await namespaces.within(netns, inside.loopback)
            return Attachment(netns, extra_hosts=attachment.extra_hosts(wanted.request, ""), network=wanted.network)
        try:
            if self._default_is_cni and not wanted.request.is_named:
                return await self._cni.attach(sandbox_id, config, wanted, netns)
            return await self._bridged.attach(sandbox_id, wanted, netns)
        except BaseException:
            await uninterrupted(self._undo(sandbox_id))
            raise

    async def _undo(self, sandbox_id: str) -> None:
        try:
            await self.detach(sandbox_id)
        except CRIError as error:
            # What it was undone for is the better answer. It is noted down, and removed by the next recovery.
            _log.warning("the network of sandbox %s was left behind: %s", sandbox_id, error.message)

    def find(self, sandbox_id: str) -> Attachment | None:
        """What ``attach`` answered, for a sandbox on a bridge or a CNI network; None once it was detached."""
        return self._bridged.find(sandbox_id) or self._cni.find(sandbox_id)

    async def detach(self, sandbox_id: str) -> None:
        """Give back what the sandbox has of the network: its ports at once, its addresses as soon as its link is gone,
        which nobody waits for. Its namespace stays. Safe to call twice, or for a sandbox that was never attached.

        Raises CRIError when a CNI plug-in fails.
        """
        await self._bridged.detach(sandbox_id)
        await self._cni.detach(sandbox_id)

    async def recover(self, in_use: Callable[[], Collection[str]]) -> None:
        """Remove what a crash or a reboot left: everything of sandboxes other than ``in_use()``, and what was begun to
        be removed; and put the networks in order for those that stay.

        ``in_use`` is asked once it is known what there is: a sandbox that another process has made by then is noted.
        """
        await self._bridged.recover(in_use)
        await self._cni.recover(in_use)
