"""Containers in a sandbox, from create to remove."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any

from cri import filters, platforms, validation
from cri.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PlatformMismatch
from cri.v1 import api_pb2 as v1
from runtimes.podman import container_config, container_status, directories, read_only, resources
from runtimes.podman.container_life import ContainerLife
from runtimes.podman.engine import Engine
from runtimes.podman.features import EngineFacts
from runtimes.podman.images import Images
from runtimes.podman.leftovers import Leftovers
from runtimes.podman.ready_sandbox import ReadySandbox
from runtimes.podman.sandboxes import Sandboxes
from runtimes.shared import accounts, cgroup_limits, cgroups, image_status, labels
from runtimes.shared.fresh import Fresh
from runtimes.shared.image_accounts import ImageAccounts
from runtimes.shared.inflight import InFlight, uninterrupted
from runtimes.shared.names import container_name
from runtimes.shared.records import Records


class Containers:
    """CreateContainer to RemoveContainer."""

    def __init__(
        self,
        engine: Engine,
        records: Records,
        life: ContainerLife,
        sandboxes: Sandboxes,
        images: Images,
        image_accounts: ImageAccounts,
    ) -> None:
        self._engine = engine
        self._records = records
        self._life = life
        self._sandboxes = sandboxes
        self._images = images
        self._accounts = image_accounts
        self._fresh = Fresh(records)
        self._leftovers = Leftovers(engine)
        self._creating: InFlight[str] = InFlight()

    async def create(self, request: v1.CreateContainerRequest) -> str:
        """Create in a ready sandbox; the container's id."""
        validation.require("pod_sandbox_id", request.pod_sandbox_id)
        validation.container_config(request.config)
        sandbox = await self._sandboxes.ready(request.pod_sandbox_id)
        config = sandbox.request.config
        complete = v1.CreateContainerRequest(
            pod_sandbox_id=request.pod_sandbox_id, config=request.config, sandbox_config=config
        )
        name = container_name(request.config.metadata, config.metadata, request.pod_sandbox_id)
        wanted = request.SerializeToString(deterministic=True)
        return await self._creating.run(name, wanted, lambda: self._create(name, complete, sandbox))

    async def _create(self, name: str, request: v1.CreateContainerRequest, sandbox: ReadySandbox) -> str:
        await self._check_target(request)
        image = await self._image(request)
        await self._name_mounted_images(request.config)
        facts = await self._engine.facts()
        read_only.check(request.config, facts, is_local=self._engine.is_local)
        config = container_config.container(
            name,
            image["Id"],
            request,
            sandbox.request,
            facts,
            infra_id=sandbox.infra_id,
            user=await self._user(image, request.config.linux.security_context),
            created_ns=time.time_ns(),
        )
        async with AsyncExitStack() as undo:
            try:
                container_id = await uninterrupted(self._make(config, undo))
            except AlreadyExists as error:
                raise AlreadyExists(f"sandbox {request.pod_sandbox_id} has a container {name} already") from error
            except NotFound as error:
                self._images.look_again()
                if await self._images.find(request.config.image.image) is None:
                    raise _no_image(request.config.image) from error
                raise
            undo.pop_all()
        if self._engine.is_local:
            self._fresh.add(container_id, made_of(container_id, name, config["labels"], facts))
        return container_id

    async def _make(self, config: dict[str, Any], undo: AsyncExitStack) -> str:
        """Create it and register its removal: a caller that gives up would find its name taken the next time."""
        try:
            made = await self._engine.post("/containers/create", body=config)
        except AlreadyExists:
            if not await self._leftovers.clear(config["name"]):
                raise
            made = await self._engine.post("/containers/create", body=config)
        container_id = str(made["Id"])
        undo.push_async_callback(lambda: uninterrupted(self.remove(container_id)))
        return container_id

    async def _check_target(self, request: v1.CreateContainerRequest) -> None:
        """CRI: the container whose pid namespace is joined is of the same sandbox."""
        options = request.config.linux.security_context.namespace_options
        if options.pid != v1.TARGET:
            return
        _, record = await self._require(options.target_id)
        if record.pod_sandbox_id != request.pod_sandbox_id:
            raise InvalidArgument(
                f"config.linux.security_context.namespace_options.target_id: container {options.target_id} is in "
                f"another sandbox, {record.pod_sandbox_id}"
            )

    async def _image(self, request: v1.CreateContainerRequest) -> dict[str, Any]:
        """The inspected image. Raises NotFound, PlatformMismatch."""
        spec = request.config.image
        found = await self._images.seen(spec.image)
        if found is None:
            raise _no_image(spec)
        sandbox = request.sandbox_config
        wanted = platforms.wanted(spec.annotations, request.config.annotations, sandbox.annotations)
        actual = image_status.facts(found).platform
        if wanted and not wanted.runs(actual):
            raise PlatformMismatch(f"image {spec.image} is for {actual}, not for {wanted}")
        return found

    async def _name_mounted_images(self, config: v1.ContainerConfig) -> None:
        """Note which images the mounts are of: Podman would ask a registry for one that is missing. Raises NotFound."""
        for mount in config.mounts:
            if mount.image.image:
                found = await self._images.find(mount.image.image)
                if found is None:
                    where = f"config.mounts: {mount.container_path!r}"
                    raise NotFound(f"{where}: image {mount.image.image!r} is not here; pull it first")
                mount.image.image_ref = image_status.image_id(found["Id"])

    async def _user(self, image: dict[str, Any], context: v1.LinuxContainerSecurityContext) -> v1.LinuxContainerUser:
        asked = accounts.asked_user(context, image_status.facts(image).user)
        known = await self._accounts.of(image["Id"])
        strict = context.supplemental_groups_policy == v1.Strict
        return accounts.resolve(asked, known, context.supplemental_groups, strict=strict)

    async def start(self, container_id: str) -> None:
        """Start a created container. Raises NotFound, FailedPrecondition."""
        known = self._fresh.get(container_id) or await self._require(container_id)
        try:
            await self._life.start(*known)
        finally:
            self._fresh.forget(container_id)

    async def stop(self, container_id: str, timeout: float) -> None:
        """Stop signal, then SIGKILL after ``timeout`` seconds; an unknown id succeeds."""
        if timeout <= 0 and await self._life.stop_running(container_id):
            return
        known = await self._find(container_id)
        if known is not None:
            await self._life.stop(known[0], timeout)

    async def update(self, container_id: str, limits: v1.LinuxContainerResources) -> None:
        """Change limits of a container that has not ended. Raises NotFound, FailedPrecondition."""
        validation.resources("linux", limits)
        found, _ = await self._require(container_id)
        if container_status.state(found) not in (v1.CONTAINER_CREATED, v1.CONTAINER_RUNNING):
            raise FailedPrecondition(f"container {container_id} has ended; its limits cannot change any more")
        body = resources.limits(limits, await self._engine.facts())
        if body:
            await self._engine.post(f"/containers/{container_id}/update", body=body)

    async def remove(self, container_id: str) -> None:
        """Kill and remove; an unknown id succeeds."""
        self._fresh.forget(container_id)
        if not await self._life.remove_ended(container_id):
            known = await self._find(container_id)
            if known is None:
                await self._leftovers.finish_removal(container_id)
                return
            await self._life.remove(known[0])
        self._records.containers.forget(container_id)

    async def status(self, container_id: str) -> tuple[v1.ContainerStatus, dict[str, Any]]:
        """The status and what the engine says. Raises NotFound."""
        found, record = await self._require(container_id)
        answer = container_status.status(found, record)
        if answer.state == v1.CONTAINER_RUNNING and self._engine.is_local:
            limits = await asyncio.to_thread(_limits_now, found, answer.resources.linux)
            answer.resources.linux.CopyFrom(limits)
        return answer, found

    async def list(self, wanted: v1.ContainerFilter) -> list[v1.Container]:
        """What matches the filter, newest first."""
        engine_filter: dict[str, Any] = {"label": [f"{labels.KIND}={labels.CONTAINER}"]}
        listed = await self._engine.get("/containers/json", params={"all": True, "filters": json.dumps(engine_filter)})
        pairs = [(found, self._records.containers.get(found)) for found in listed or ()]
        items = [container_status.item(found, record) for found, record in pairs if record]
        doubtful = {found["Id"] for found, record in pairs if record and self._life.is_in_doubt(found)}
        gone = await asyncio.gather(*(self._settle(item) for item in items if item.id in doubtful))
        return filters.containers([item for item in items if item.id not in gone], wanted)

    def forget_fresh(self, container_id: str = "") -> None:
        """Something happened to this container, or may have happened to any of them."""
        if container_id:
            self._fresh.forget(container_id)
        else:
            self._fresh.forget_all()

    async def watch_ends(self) -> None:
        """Look at every container that runs, so that none of their ends is missed."""
        running = v1.ContainerFilter(state=v1.ContainerStateValue(state=v1.CONTAINER_RUNNING))
        await asyncio.gather(*(self._find(item.id) for item in await self.list(running)))

    async def _settle(self, item: v1.Container) -> str:
        """A list tells no more than a look would: whether a start failed, or a process has vanished. The id of one that
        is gone, or half gone; then the rest of it goes."""
        known = await self._find(item.id)
        if known is None:
            await self._leftovers.finish_removal(item.id)
            return item.id
        item.state = container_status.state(known[0])
        return ""

    async def reopen_log(self, container_id: str) -> None:
        """Write on to a fresh log file. Raises NotFound, FailedPrecondition unless it runs."""
        await self._life.reopen_log(*await self._require(container_id))

    async def _require(self, container_id: str) -> tuple[dict[str, Any], v1.CreateContainerRequest]:
        known = await self._find(container_id)
        if known is None:
            raise NotFound(f"no container has the id {container_id!r}", details={"container_id": container_id})
        return known

    async def _find(self, container_id: str) -> tuple[dict[str, Any], v1.CreateContainerRequest] | None:
        """The inspected container and its record; None for an id that is nothing or something else."""
        validation.require("container_id", container_id)
        found = await self._engine.inspect("containers", container_id)
        if found is not None and self._life.seems_vanished(found):
            found = await self._engine.inspect("containers", container_id)
        record = self._records.containers.get(found) if found is not None and found["Id"] == container_id else None
        if found is None or record is None:
            return None
        self._life.complete(found)
        return found, record


def made_of(container_id: str, name: str, its_labels: dict[str, str], facts: EngineFacts) -> dict[str, Any]:
    """What an inspection would say, as far as a start asks, of a container that was made and not started. Pure."""
    return {
        "Name": name,
        "Config": {"Labels": its_labels},
        "State": {"Status": "created", "Running": False, "Pid": 0, "StartedAt": "0001-01-01T00:00:00Z"},
        "StaticDir": str(directories.lasting(facts, container_id)),
        "PidFile": str(directories.pid_file(facts, container_id)),
    }


def _no_image(spec: v1.ImageSpec) -> NotFound:
    return NotFound(f"image {spec.image!r} is not here; pull it first", details={"image": spec.image})


def _limits_now(found: dict[str, Any], said: v1.LinuxContainerResources) -> v1.LinuxContainerResources:
    """Podman 4 says what a container was made with, whatever was changed since."""
    try:
        cgroup = cgroups.of_process(found["State"]["Pid"]).only(found["Id"])
        return cgroup_limits.limits_now(cgroup, said)
    except OSError:  # it has ended, or its processes are not seen from here
        return said
