"""Containers in a sandbox, from create to remove."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

from cri import filters, platforms, validation
from cri.errors import AlreadyExists, CRIError, FailedPrecondition, InvalidArgument, NotFound, PlatformMismatch
from cri.platforms import Platform
from cri.v1 import api_pb2 as v1
from runtimes.docker import cgroup_files, container_config, container_status, resources
from runtimes.docker.container_life import ContainerLife
from runtimes.docker.container_status import STATES
from runtimes.docker.engine import Engine
from runtimes.docker.features import EngineFacts
from runtimes.docker.images import Images
from runtimes.docker.mounted_images import MountedImages
from runtimes.docker.sandboxes import Sandboxes
from runtimes.shared import accounts, image_status, labels, profiles
from runtimes.shared.fresh import Fresh
from runtimes.shared.image_accounts import ImageAccounts
from runtimes.shared.inflight import InFlight, uninterrupted
from runtimes.shared.names import container_name
from runtimes.shared.records import Records

WHOLE_ID = 64
"""Characters of an id of the engine's."""

NEVER = "0001-01-01T00:00:00Z"
"""The engine's word for a time that has not come."""


class Containers:
    """CreateContainer to RemoveContainer."""

    def __init__(
        self,
        engine: Engine,
        records: Records,
        fresh: Fresh,
        life: ContainerLife,
        sandboxes: Sandboxes,
        images: Images,
        image_accounts: ImageAccounts,
        mounted_images: MountedImages,
    ) -> None:
        self._engine = engine
        self._records = records
        self._fresh = fresh
        self._life = life
        self._sandboxes = sandboxes
        self._images = images
        self._accounts = image_accounts
        self._mounted_images = mounted_images
        self._creating: InFlight[str] = InFlight()
        self._starting: InFlight[None] = InFlight()

    async def create(self, request: v1.CreateContainerRequest) -> str:
        """Create in a ready sandbox; the container's id."""
        validation.require("pod_sandbox_id", request.pod_sandbox_id)
        validation.container_config(request.config)
        sandbox = await self._sandboxes.spec(request.pod_sandbox_id)
        complete = v1.CreateContainerRequest(
            pod_sandbox_id=request.pod_sandbox_id, config=request.config, sandbox_config=sandbox.config
        )
        name = container_name(request.config.metadata, sandbox.config.metadata, request.pod_sandbox_id)
        wanted = request.SerializeToString(deterministic=True)
        return await self._creating.run(name, wanted, lambda: self._create(name, complete, sandbox))

    async def _create(self, name: str, request: v1.CreateContainerRequest, sandbox: v1.RunPodSandboxRequest) -> str:
        image = request.config.image
        context = request.config.linux.security_context
        await self._check_target(request)
        found = await self._image(image.image)
        await self._mounted_images.name(request.config)
        facts = await self._engine.facts()
        config = container_config.container(
            request,
            sandbox,
            facts,
            user=await self._user(found, context),
            created_ns=time.time_ns(),
            default_cgroup_parent=self._engine.config.cgroup_parent,
            seccomp_json=await profiles.read_seccomp(profiles.seccomp(context)),
        )
        # The image that was looked at, whatever its name means by now. And a list of the engine's looks up what a name
        # means, for each container, which takes longer than all the rest of it.
        config["Image"] = found["Id"]
        wanted = platforms.wanted(image.annotations, request.config.annotations, sandbox.config.annotations)
        async with AsyncExitStack() as undo:
            made = made_of(name, config, found, facts)
            try:
                with self._fresh.making(name, made):
                    container_id = await uninterrupted(self._make(name, config, wanted, undo))
            except NotFound as error:
                self._images.look_again()
                if await self._image(image.image) and wanted:
                    raise PlatformMismatch(f"image {image.image} is not for {wanted}") from error
                raise
            except FailedPrecondition as error:
                raise AlreadyExists(f"sandbox {request.pod_sandbox_id} has a container {name} already") from error
            undo.pop_all()
        self._fresh.add(container_id, made)
        return container_id

    async def _make(self, name: str, config: dict[str, Any], wanted: Platform | None, undo: AsyncExitStack) -> str:
        """Create it and register its removal: a caller that gives up would find its name taken the next time."""
        create = self._engine.client.create_container_from_config
        made = await self._engine.call(create, config, name, str(wanted) if wanted else None)
        container_id = str(made["Id"])
        undo.push_async_callback(lambda: uninterrupted(self._life.discard(container_id)))
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

    async def _image(self, text: str) -> dict[str, Any]:
        found = await self._images.seen(text)
        if found is None:
            raise NotFound(f"image {text!r} is not here; pull it first", details={"image": text})
        return found

    async def _user(self, found: dict[str, Any], context: v1.LinuxContainerSecurityContext) -> v1.LinuxContainerUser:
        asked = accounts.asked_user(context, image_status.facts(found).user)
        known = await self._accounts.of(found["Id"])
        strict = context.supplemental_groups_policy == v1.Strict
        return accounts.resolve(asked, known, context.supplemental_groups, strict=strict)

    async def start(self, container_id: str) -> None:
        """Start a created container. Raises NotFound, FailedPrecondition."""
        # The engine finishes a start that nobody waits for any more, and what the container prints is to be kept.
        await self._starting.run(container_id, b"", lambda: uninterrupted(self._start(container_id)))

    async def _start(self, container_id: str) -> None:
        found, record = self._fresh.get(container_id) or await self._require(container_id)
        try:
            await self._life.start(found, record)
        finally:
            self._fresh.forget(container_id)
        try:
            await cgroup_files.apply(self._engine, container_id, record.config.linux.resources)
        except CRIError:
            await self.stop(container_id, 0)  # without its limits it must not run
            raise

    async def stop(self, container_id: str, timeout: float) -> None:
        """Stop signal, then SIGKILL after ``timeout`` seconds; an unknown id succeeds."""
        known = await self._find(container_id)
        if known is not None:
            await self._life.stop(known[0], timeout)

    async def update(self, container_id: str, limits: v1.LinuxContainerResources) -> None:
        """Change limits of a container that has not ended. Raises NotFound, FailedPrecondition."""
        validation.resources("linux", limits)
        found, _ = await self._require(container_id)
        if container_status.state(found) not in (v1.CONTAINER_CREATED, v1.CONTAINER_RUNNING):
            raise FailedPrecondition(f"container {container_id} has ended; its limits cannot change any more")
        body = resources.update(limits, found["HostConfig"], await self._engine.facts())
        if body:
            # The SDK's own has no argument for the limit of processes.
            await self._engine.call(self._engine.client.ask, "POST", f"/containers/{container_id}/update", json=body)
        await cgroup_files.apply(self._engine, container_id, limits)

    async def remove(self, container_id: str) -> None:
        """Kill and remove; an unknown id succeeds."""
        self._fresh.forget(container_id)
        known = await self._find(container_id)
        if known is None:
            return
        await self._life.remove(known[0])
        self._records.containers.forget(container_id)

    async def status(self, container_id: str) -> tuple[v1.ContainerStatus, dict[str, Any]]:
        """The status and what the engine says. Raises NotFound."""
        found, record = await self._require(container_id)
        if container_status.state(found) == v1.CONTAINER_EXITED:
            await self._life.settled(container_id)
        return container_status.status(found, record, self._life.end_was_seen), found

    async def reopen_log(self, container_id: str) -> None:
        """Write on to a fresh log file. Raises NotFound, FailedPrecondition unless it runs."""
        found, _ = await self._require(container_id)
        self._life.reopen_log(found)

    async def list(self, wanted: v1.ContainerFilter) -> list[v1.Container]:
        """What matches the filter, newest first."""
        listed = await self._engine.call(self._engine.client.containers, all=True, filters=engine_filter(wanted))
        pairs = [(found, self._records.containers.get(found)) for found in listed]
        items = [container_status.item(found, record) for found, record in pairs if record]
        await asyncio.gather(*(self._settle(item) for item in items if item.state != v1.CONTAINER_RUNNING))
        return filters.containers(items, wanted)

    async def _settle(self, item: v1.Container) -> None:
        """A list tells no more than a look would: nothing of an end whose log is not complete yet, and of what the
        engine calls created whether its start failed."""
        if item.state == v1.CONTAINER_EXITED:
            await self._life.settled(item.id)
        elif item.state == v1.CONTAINER_CREATED:
            known = self._fresh.get(item.id) or await self._find(item.id)
            if known is not None:
                item.state = container_status.state(known[0])

    async def _require(self, container_id: str) -> tuple[dict[str, Any], v1.CreateContainerRequest]:
        known = await self._find(container_id)
        if known is None:
            raise NotFound(f"no container has the id {container_id!r}", details={"container_id": container_id})
        return known

    async def _find(self, container_id: str) -> tuple[dict[str, Any], v1.CreateContainerRequest] | None:
        """The inspected container and its record; None for an id that is nothing or something else."""
        validation.require("container_id", container_id)
        try:
            found: dict[str, Any] = await self._engine.call(self._engine.client.inspect_container, container_id)
        except NotFound:
            return None
        record = self._records.containers.get(found) if found["Id"] == container_id else None
        return (found, record) if record is not None else None


def made_of(name: str, config: dict[str, Any], image: dict[str, Any], facts: EngineFacts) -> dict[str, Any]:
    """What an inspection would say, as far as it matters here, of a container that was made of ``config`` and not
    started. Pure."""
    signal = config.get("StopSignal") or (image.get("Config") or {}).get("StopSignal") or ""
    return {
        "Name": f"/{name}",
        "Image": image["Id"],
        "Config": {"Labels": config["Labels"], "User": config["User"], "StopSignal": signal},
        "HostConfig": config["HostConfig"] | {"LogConfig": {"Type": facts.log_driver}},
        "State": {"Status": "created", "Error": "", "ExitCode": 0, "StartedAt": NEVER, "FinishedAt": NEVER},
    }


def engine_filter(wanted: v1.ContainerFilter) -> dict[str, Any]:
    """What the engine can select by itself, so that its answer is short. Whether a part of an id is one container's
    alone has to be seen before the state is looked at, so then all states are needed."""
    selected = {"label": [f"{labels.KIND}={labels.CONTAINER}"]}
    if wanted.id:
        selected["id"] = [wanted.id]
    if len(wanted.pod_sandbox_id) == WHOLE_ID:
        selected["label"].append(f"{labels.SANDBOX_ID}={wanted.pod_sandbox_id}")
    exact = not wanted.id and len(wanted.pod_sandbox_id) in (0, WHOLE_ID)
    if exact and wanted.HasField("state") and wanted.state.state == v1.CONTAINER_RUNNING:
        selected["status"] = [word for word, state in STATES.items() if state == v1.CONTAINER_RUNNING]
    return selected
