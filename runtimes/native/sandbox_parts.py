"""What a sandbox has on the host: namespaces, network, files, cgroup and, where its containers share their processes,
an init. Made in order; taken away whatever there is of it, as often as one likes."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import logging
import os
import shutil
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cri import platforms
from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.native import cgroup_tree, kernel, slices, stragglers
from runtimes.native.config import NativeConfig
from runtimes.native.locks import Locks
from runtimes.native.network import Attachment, Networks, namespaces, reach
from runtimes.native.network.files import hosts, resolv_conf
from runtimes.native.network.user_namespaces import UserMap
from runtimes.native.oci import cgroup, resources, sysctls, users
from runtimes.native.oci.facts import HostFacts, SandboxFacts
from runtimes.native.oci.sandbox_init import init_spec
from runtimes.native.oci_runtime import OciRuntime
from runtimes.native.places import Places
from runtimes.native.records import Phase, SandboxRecord
from runtimes.shared import pause

HOSTNAME_LENGTH = 12
"""Hexadecimal digits of a hostname that nobody chose."""

_PINNED = ("net", "ipc", "uts", "user", "pid")

SHM_BYTES = 64 << 20
"""Of /dev/shm, which the containers of a sandbox share; as other engines have it."""


_ATTEMPTS, _PAUSE = 250, 0.04
"""Looks at a cgroup that something is in yet, and seconds between two: on a busy host the dead take theirs."""


_log = logging.getLogger(__name__)


class Made(NamedTuple):
    """What of a sandbox is to be noted in its record."""

    addresses: tuple[str, ...]
    init_pid: int


class SandboxParts:
    """Makes and unmakes them. All that is needed to unmake a sandbox is its record."""

    def __init__(self, config: NativeConfig, places: Places, locks: Locks, host: HostFacts, networks: Networks) -> None:
        self._config = config
        self._places = places
        self._locks = locks
        self._host = host
        self._networks = networks

    def cgroup(self, sandbox_id: str, config: v1.PodSandboxConfig) -> str:
        """Where the cgroups of the sandbox's containers go. Raises InvalidArgument. Pure."""
        above = cgroup.parent(config.linux.cgroup_parent, self._default_parent, self._host)
        return cgroup.of_sandbox(above, sandbox_id, self._host)

    def facts(self, record: SandboxRecord) -> SandboxFacts:
        """As its containers' configs need it."""
        directory = self._places.namespaces(record.id)
        pinned = {kind: directory / kind for kind in _PINNED if (directory / kind).exists()}
        return SandboxFacts(
            id=record.id,
            config=record.config,
            hostname=hostname(record),
            cgroup=record.cgroup,
            directory=self._places.sandbox(record.id),
            namespaces=pinned,
        )

    async def make(self, record: SandboxRecord, runtime: OciRuntime) -> Made:
        """All of it. Whatever fails leaves the rest to ``unmake``, which is the caller's to call."""
        options = record.config.linux.security_context.namespace_options
        users.check_sandbox(options, self._host)
        if not namespaces.is_at_home():
            reach.check(record.config)
        await self._make_cgroup(record)
        pinned = await self._make_namespaces(record, options)
        attachment = await self._networks.attach(record.id, record.config, netns=pinned.get("net"))
        addresses = tuple(filter(None, (attachment.ip, *attachment.additional_ips)))
        await asyncio.to_thread(self._make_files, record, attachment)
        init_pid = await self._make_init(record, runtime) if options.pid == v1.POD else 0
        return Made(addresses, init_pid)

    async def unplug(self, record: SandboxRecord, runtime: OciRuntime) -> None:
        """Take init, network and namespaces away: what a stopped sandbox has no more. Nothing there is fine."""
        if (self._init_bundle(record.id)).exists():
            if record.phase in (Phase.MAKING, Phase.REMOVING):
                await stragglers.see_out(partial(stragglers.told, record.id, "run"))  # who told it may be dead
            await runtime.delete(record.id)
            await asyncio.to_thread(shutil.rmtree, self._init_bundle(record.id), ignore_errors=True)
        await self._networks.detach(record.id)
        namespaces.remove(self._places.namespaces(record.id))

    async def unmake(self, record: SandboxRecord, runtime: OciRuntime) -> None:
        """Take all of it away. Nothing there is fine."""
        await self.unplug(record, runtime)
        await asyncio.to_thread(self._remove_files, record.id)
        if record.cgroup and self._host.cgroup_driver == "cgroupfs":
            await self._remove_cgroup(record.cgroup)
        elif record.id in record.cgroup:
            await slices.remove(record.cgroup)

    async def _remove_cgroup(self, path: str) -> None:
        """One that somebody else's process is in stays."""
        for _ in range(_ATTEMPTS):
            async with self._locks.hold("cgroup", self._default_parent):
                if cgroup_tree.remove(path, keep=self._default_parent):
                    return
            # A process that was killed is in it until it is seen out, of which not every kernel tells.
            await asyncio.sleep(_PAUSE)
        _log.warning("the cgroup %s is left behind: something is in it", path)

    async def limit(self, record: SandboxRecord, *limits: v1.LinuxContainerResources) -> None:
        """Set a sandbox's own limits. Raises FailedPrecondition, Unimplemented where there are no cgroups."""
        if not self._host.cgroups:
            for each in limits:
                resources.update(each, self._host)
            return
        total = cgroup_tree.total(limits)
        if self._host.cgroup_driver == "systemd":
            await slices.make(record.cgroup, total)
        else:
            await asyncio.to_thread(cgroup_tree.limit, cgroup_tree.make(record.cgroup), total)

    @property
    def _default_parent(self) -> str:
        return cgroup.parent("", self._config.cgroup_parent, self._host)

    async def _make_cgroup(self, record: SandboxRecord) -> None:
        linux = record.config.linux
        if not self._host.cgroups:
            resources.update(linux.resources, self._host)
            return
        if self._host.cgroup_driver == "cgroupfs":
            # The last sandbox to go takes the parent away, which must not happen between these two.
            async with self._locks.hold("cgroup", self._default_parent):
                cgroup_tree.make(record.cgroup)
            if not linux.HasField("resources") and not linux.HasField("overhead"):
                return
        await self.limit(record, linux.resources, linux.overhead)

    async def _make_namespaces(self, record: SandboxRecord, options: v1.NamespaceOption) -> Mapping[str, Path]:
        kinds = set()
        if options.network != v1.NODE:
            kinds |= {"net", "uts"}
        if options.ipc != v1.NODE:
            kinds.add("ipc")
        if users.has_own(options):
            kinds.add("user")
        if not kinds:
            return {}
        try:
            return await namespaces.create(
                kinds,
                self._places.namespaces(record.id),
                hostname=hostname(record) if "uts" in kinds else "",
                sysctls=sysctls.of_sandbox(record.config.linux),
                users=UserMap.of(options.userns_options) if "user" in kinds else None,
            )
        except OSError as error:
            raise FailedPrecondition(f"the sandbox's namespaces cannot be made: {error}") from error

    def _make_files(self, record: SandboxRecord, attachment: Attachment) -> None:
        directory = self._places.sandbox(record.id)
        private_directory(directory, record.config)
        for name, text in (
            ("hosts", hosts(record.config, attachment, hostname(record))),
            ("resolv.conf", resolv_conf(record.config, attachment)),
            ("hostname", hostname(record) + "\n"),
        ):
            path = directory / name
            path.write_text(text)
            path.chmod(0o644)
        if record.config.linux.security_context.namespace_options.ipc != v1.NODE:
            shm = directory / "shm"
            shm.mkdir(mode=0o1777, exist_ok=True)
            owner = root_of(record.config.linux.security_context.namespace_options)
            flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
            kernel.mount("shm", shm, "tmpfs", flags, f"mode=1777,size={SHM_BYTES},uid={owner[0]},gid={owner[1]}")

    def _remove_files(self, sandbox_id: str) -> None:
        directory = self._places.sandbox(sandbox_id)
        try:
            kernel.unmount(directory / "shm", kernel.MNT_DETACH | kernel.UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise FailedPrecondition(f"the sandbox's /dev/shm cannot be unmounted: {error}") from error
        shutil.rmtree(directory, ignore_errors=True)

    def _init_bundle(self, sandbox_id: str) -> Path:
        return self._places.container(sandbox_id)

    async def _make_init(self, record: SandboxRecord, runtime: OciRuntime) -> int:
        bundle = self._init_bundle(record.id)
        spec = init_spec(self.facts(record), record.id, self._init_root(), self._host)
        await asyncio.to_thread(self._write_bundle, record, bundle, json.dumps(spec))
        pid_file = bundle / "pid"
        await runtime.run_detached(record.id, bundle, pid_file)
        pid = int(pid_file.read_text())
        # It stays when the init is gone, so that a look at the sandbox's containers finds the same as before.
        target = self._places.namespaces(record.id) / "pid"
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.touch(0o400)
        kernel.mount(f"/proc/{pid}/ns/pid", target, "", kernel.MS_BIND)
        return pid

    def _write_bundle(self, record: SandboxRecord, bundle: Path, config: str) -> None:
        private_directory(bundle, record.config)
        path = bundle / "config.json"
        path.touch(0o600)
        path.write_text(config)

    def _init_root(self) -> Path:
        """A directory with the init's program and nothing else, made once."""
        root = self._places.init_root
        program = root / pause.PROGRAM.lstrip("/")
        if not program.exists():
            for name in ("dev", "proc"):
                (root / name).mkdir(mode=0o755, parents=True, exist_ok=True)
            unfinished = root / f".{os.getpid()}"
            unfinished.write_bytes(pause.program(platforms.host().architecture))
            unfinished.chmod(0o755)
            unfinished.rename(program)
        return root


def hostname(record: SandboxRecord) -> str:
    """What the sandbox's processes see as the host's name."""
    if record.config.linux.security_context.namespace_options.network == v1.NODE:
        return socket.gethostname()
    return record.config.hostname or hashlib.sha256(record.name.encode()).hexdigest()[:HOSTNAME_LENGTH]


def private_directory(path: Path, config: v1.PodSandboxConfig) -> None:
    """Make a directory of a sandbox or a container of its: nobody's on the host but ours, and where the sandbox has
    users of its own, also open to its root, which has to come through here."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = config.linux.security_context.namespace_options
    if users.has_own(options):
        os.chown(path, 0, root_of(options)[1])
        path.chmod(0o710)


def root_of(options: v1.NamespaceOption) -> tuple[int, int]:
    """Whom the host sees when the sandbox's root acts."""
    if not users.has_own(options):
        return 0, 0
    return users.on_host(0, options.userns_options.uids), users.on_host(0, options.userns_options.gids)
