"""The usual mistakes of a caller, each with the class of error that it is answered with."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from cri.errors import CRIError
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, number, shell, with_context

NOBODY = "0" * 64
MISSING = "localhost/no/such:image"


async def mistakes(kit: Kit) -> dict[str, object]:
    """By sentence: the error's class, or ``ok`` where CRI wants no error."""
    answers = {**_nobody(kit), **await _wrong_configs(kit), **await _wrong_moments(kit)}
    return {sentence: await outcome(call) for sentence, call in answers.items()}


async def outcome(call: Awaitable[Any]) -> str:
    try:
        await call
    except CRIError as error:
        return type(error).__name__
    return "ok"


def _nobody(kit: Kit) -> dict[str, Awaitable[Any]]:
    """To what is not there."""
    runtime = kit.runtime
    no_update = v1.UpdateContainerResourcesRequest(container_id=NOBODY, linux=v1.LinuxContainerResources(cpu_shares=2))
    no_exec = v1.ExecRequest(container_id=NOBODY, cmd=["true"], stdout=True)
    no_forward = v1.PortForwardRequest(pod_sandbox_id=NOBODY, port=[80])
    return {
        "the status of an unknown container": kit.status(NOBODY),
        "the status of an unknown sandbox": kit.sandbox_status(NOBODY),
        "the start of an unknown container": kit.start(NOBODY),
        "a command in an unknown container": kit.exec(NOBODY, "true"),
        "a URL for an unknown container": runtime.exec(no_exec),
        "a URL for an unknown sandbox": runtime.port_forward(no_forward),
        "new limits for an unknown container": runtime.update_container_resources(no_update),
        "stats of an unknown container": runtime.container_stats(v1.ContainerStatsRequest(container_id=NOBODY)),
        "a new log of an unknown container": runtime.reopen_container_log(
            v1.ReopenContainerLogRequest(container_id=NOBODY)
        ),
        "a container in an unknown sandbox": kit.create(NOBODY),
        "the stop of an unknown container": kit.stop(NOBODY),
        "the removal of an unknown container": kit.remove(NOBODY),
        "the stop of an unknown sandbox": kit.stop_sandbox(NOBODY),
        "the removal of an unknown sandbox": kit.remove_sandbox(NOBODY),
        "the removal of a missing image": kit.remove_image(MISSING),
        "the status of a missing image": kit.image_status(MISSING),
    }


async def _wrong_configs(kit: Kit) -> dict[str, Awaitable[Any]]:
    """What no engine may run."""
    sandbox_id = await kit.sandbox()
    relative = v1.Mount(container_path="not/absolute", host_path="/tmp")
    group_only = with_context(run_as_group=number(1))
    no_port = v1.PortMapping(container_port=70000, host_port=1)
    no_reference = v1.ImageSpec(image="name/UPPER:x")
    no_program = await kit.create(sandbox_id, "/no/such/program")
    return {
        "a container of a missing image": kit.create(sandbox_id, image=v1.ImageSpec(image=MISSING)),
        "a container without a name": kit.create(sandbox_id, metadata=v1.ContainerMetadata()),
        "a sandbox without metadata": kit.sandbox(metadata=v1.PodSandboxMetadata()),
        "a group without a user": kit.create(sandbox_id, linux=group_only),
        "a mount at no full path": kit.create(sandbox_id, mounts=[relative]),
        "a log outside of its directory": kit.create(sandbox_id, log_path="../elsewhere.log"),
        "a port that is none": kit.sandbox(port_mappings=[no_port]),
        "a runtime handler that nobody has": kit.run_sandbox(kit.sandbox_config(), "no-such-handler"),
        "a sysctl of the host": kit.sandbox(linux=v1.LinuxPodSandboxConfig(sysctls={"kernel.panic": "1"})),
        "a reference that is none": kit.runtime.pull_image(v1.PullImageRequest(image=no_reference)),
        "a program that does not exist": kit.start(no_program),
    }


async def _wrong_moments(kit: Kit) -> dict[str, Awaitable[Any]]:
    """Right requests to what is in the wrong state."""
    sandbox_id, stopped = await kit.sandbox(), await kit.sandbox()
    created, running = await kit.create(sandbox_id), await kit.run(sandbox_id)
    exited = await kit.run(sandbox_id, *shell("exit 1"))
    await kit.exited(exited)
    await kit.stop_sandbox(stopped)
    runtime = kit.runtime
    late_exec = v1.ExecRequest(container_id=exited, cmd=["true"], stdout=True)
    late_forward = v1.PortForwardRequest(pod_sandbox_id=stopped, port=[80])
    return {
        "a command in a container that never ran": kit.exec(created, "true"),
        "a command in a container that exited": kit.exec(exited, "true"),
        "an empty command": kit.exec(running),
        "a command that does not exist": kit.exec(running, "/no/such/program"),
        "a command that takes too long": kit.exec(running, "sleep", "60", timeout=1),
        "a URL for a container that exited": runtime.exec(late_exec),
        "a URL for a sandbox that was stopped": runtime.port_forward(late_forward),
        "a second start": kit.start(running),
        "a start after the exit": kit.start(exited),
        "a container in a sandbox that was stopped": kit.create(stopped),
        "a new log of a container that exited": runtime.reopen_container_log(
            v1.ReopenContainerLogRequest(container_id=exited)
        ),
        "a second stop": kit.stop(exited),
    }
