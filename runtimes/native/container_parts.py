"""What a container has on the host before it runs: a bundle with its config, its root, mounted images."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cri import platforms
from cri.errors import FailedPrecondition, NotFound, PlatformMismatch
from cri.v1 import api_pb2 as v1
from runtimes.native.images import IdMap, ImageRecord, Images, Snapshots
from runtimes.native.oci import idmapped, lookups, process, security
from runtimes.native.oci.compiled import ANNOTATION
from runtimes.native.oci.facts import HostFacts, SandboxFacts
from runtimes.native.oci.spec import container_spec
from runtimes.native.oci_runtime import OciRuntime
from runtimes.native.places import Places
from runtimes.native.records import ContainerRecord
from runtimes.native.sandbox_parts import private_directory, root_of
from runtimes.shared import signals


class Made(NamedTuple):
    """What of a container is to be noted in its record."""

    user: v1.LinuxContainerUser
    stop_signal: str


class ContainerParts:
    """Makes and unmakes them. All that is needed to unmake a container is its id."""

    def __init__(self, places: Places, host: HostFacts, images: Images, snapshots: Snapshots) -> None:
        self._places = places
        self._host = host
        self._images = images
        self._snapshots = snapshots
        self._uncompiled: dict[str, OciRuntime] = {}
        """Containers whose seccomp filter is still to be compiled, and by whom."""

    def name_images(self, config: v1.ContainerConfig) -> None:
        """Note which images the mounts are of. Raises NotFound."""
        for mount in config.mounts:
            if mount.image.image:
                try:
                    mount.image.image_ref = self._find(mount.image.image).id
                except NotFound as error:
                    raise NotFound(f"config.mounts: {mount.container_path!r}: {error.message}") from error

    def image(self, config: v1.ContainerConfig, sandbox: v1.PodSandboxConfig) -> ImageRecord:
        """The image of a container. Raises NotFound, PlatformMismatch."""
        spec = config.image
        found = self._find(spec.image)
        wanted = platforms.wanted(spec.annotations, config.annotations, sandbox.annotations)
        if wanted and not wanted.runs(found.platform):
            raise PlatformMismatch(f"image {spec.image} is for {found.platform}, not for {wanted}")
        return found

    async def make(
        self,
        record: ContainerRecord,
        config: v1.ContainerConfig,
        image: ImageRecord,
        sandbox: SandboxFacts,
        runtime: OciRuntime,
        *,
        target_pid: int = 0,
    ) -> Made:
        """All of it. Whatever fails leaves the rest to ``unmake``, which is the caller's to call. ``config`` has what
        the record leaves out: the values of environment variables."""
        bundle = self._places.container(record.id)
        rootfs = bundle / "rootfs"
        private_directory(bundle, sandbox.config)
        idmap = _idmap(sandbox)
        labels = security.selinux_labels(config.linux.security_context, sandbox, self._host)
        await self._snapshots.mount(record.id, image, rootfs, idmap=idmap, label=labels.files if labels else "")
        images = await self._mount_images(record.id, config, bundle, idmap)

        def decide() -> Made:
            sources = {**images, **idmapped.prepare(config.mounts, sandbox, self._host, self._staging(record.id))}
            request, facts = lookups.look(
                record.id, config, sandbox, image.config, rootfs, target_pid=target_pid, sources=sources
            )
            spec = container_spec(request, sandbox, facts, self._host)
            runtime.filters.use(spec)
            if ANNOTATION not in spec.get("annotations", {}):
                self._uncompiled[record.id] = runtime
            _write(bundle / "config.json", spec)
            user = process.user(config.linux.security_context, facts)
            return Made(user, _stop_signal(config, image.config))

        return await asyncio.to_thread(decide)

    async def settle(self, container_id: str) -> None:
        """The container was created by the OCI runtime: take away what it needed only until its own mounts are made,
        and keep what may be of use to the next one."""
        runtime = self._uncompiled.pop(container_id, None)
        if runtime is not None:
            await asyncio.to_thread(self._learn, container_id, runtime)
        staging = self._staging(container_id)
        if staging.is_dir():
            await asyncio.to_thread(idmapped.release, staging)

    def _learn(self, container_id: str, runtime: OciRuntime) -> None:
        runtime.filters.learn(self.spec(container_id), runtime.state_of(container_id))

    async def unmake(self, container_id: str) -> None:
        """Take all of it away. Nothing there is fine."""
        self._uncompiled.pop(container_id, None)
        await self.settle(container_id)
        await self._snapshots.unmount(container_id)
        await asyncio.to_thread(shutil.rmtree, self._places.container(container_id), ignore_errors=True)

    def spec(self, container_id: str) -> dict[str, Any]:
        """The config of a container that is there. Raises FailedPrecondition."""
        path = self._places.container(container_id) / "config.json"
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise FailedPrecondition(f"the bundle of container {container_id} cannot be read: {error}") from error
        return found

    def change_limits(self, container_id: str, limits: Mapping[str, Any]) -> None:
        """Change the limits that a container will be started with."""
        spec = self.spec(container_id)
        known = spec["linux"]["resources"]
        for kind, values in limits.items():
            known[kind] = {**known.get(kind, {}), **values} if isinstance(values, Mapping) else values
        _write(self._places.container(container_id) / "config.json", spec)

    def _staging(self, container_id: str) -> Path:
        return self._places.container(container_id) / "mounts"

    def _find(self, name: str) -> ImageRecord:
        found = self._images.find(name)
        if found is None:
            raise NotFound(f"image {name!r} is not here; pull it first", details={"image": name})
        return found

    async def _mount_images(
        self, container_id: str, config: v1.ContainerConfig, bundle: Path, idmap: IdMap | None
    ) -> Mapping[str, Path]:
        found: dict[str, Path] = {}
        for index, mount in enumerate(config.mounts):
            if mount.image.image:
                image = self._find(mount.image.image_ref)
                target = bundle / "images" / str(index)
                found[mount.container_path] = await self._snapshots.mount_image_volume(
                    container_id, image, target, sub_path=mount.image_sub_path, idmap=idmap
                )
        return found


def _idmap(sandbox: SandboxFacts) -> IdMap | None:
    """How the sandbox's own users see files of the host; None where it has none."""
    if "user" not in sandbox.namespaces:
        return None
    return IdMap(sandbox.namespaces["user"], *root_of(sandbox.config.linux.security_context.namespace_options))


def _stop_signal(config: v1.ContainerConfig, image: Mapping[str, Any]) -> str:
    """The config's, else the image's. Raises InvalidArgument for what is none."""
    if config.stop_signal:
        number = signals.number(config.stop_signal)
        return v1.Signal.Name(config.stop_signal).removeprefix("SIGNAL_") if number else ""
    text = str((image.get("config") or image).get("StopSignal") or "")
    if text:
        signals.number_of(text)
    return text


def _write(path: Path, spec: Mapping[str, Any]) -> None:
    """All of it or nothing, whenever this process is killed."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.touch(0o600)
    unfinished.write_text(json.dumps(spec))
    unfinished.rename(path)
