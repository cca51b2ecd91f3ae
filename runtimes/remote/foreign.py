"""Requests that a runtime of somebody else's may not take as they are. Pure.

It drops minicri's annotations and fields younger than itself without a word, and containerd 1.6 dies of a
CreateContainer without sandbox_config.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from cri import annotations as names
from cri import platforms, validation
from cri.errors import CRIError, Unknown
from cri.platforms import Platform
from cri.v1 import api_pb2 as v1

_NETWORK = (
    names.NETWORK,
    names.NETWORK_ALIASES,
    names.IPV4,
    names.IPV6,
    names.NETWORK_SUBNETS,
    names.MAC_ADDRESS,
    names.EXTRA_HOSTS,
)


def check(request: Message) -> None:
    """Raise InvalidArgument for what no runtime may take; not every one looks before it begins."""
    match request:
        case v1.RunPodSandboxRequest():
            validation.sandbox_config(request.config)
        case v1.CreateContainerRequest():
            validation.require("pod_sandbox_id", request.pod_sandbox_id)
            validation.container_config(request.config)


def is_starting(failure: CRIError) -> bool:
    """Whether it listens and serves nobody yet: containerd says so, with a code that says nothing."""
    return isinstance(failure, Unknown) and failure.message == "server is not initialized yet"


def is_incomplete(request: Message) -> bool:
    """Whether a container's request lacks the sandbox's config: ours find it by themselves."""
    return isinstance(request, v1.CreateContainerRequest) and not request.sandbox_config.metadata.name


def unheeded(request: Message, own: Platform | None) -> dict[str, str]:
    """The annotations of ``request`` without which something else than was asked for would be made.

    ``own`` is the endpoint's platform where it is known: to ask for it is to ask for what happens anyway.
    """
    match request:
        case v1.RunPodSandboxRequest():
            said = request.config.annotations
            return {key: said[key] for key in _NETWORK if said.get(key)} | _platform(own, said)
        case v1.CreateContainerRequest():
            config = request.config
            return _platform(own, config.image.annotations, config.annotations, request.sandbox_config.annotations)
        case v1.PullImageRequest():
            return _platform(own, request.image.annotations, request.sandbox_config.annotations)
    return {}


def announced(status: v1.StatusResponse) -> dict[str, bool]:
    """What an endpoint says that it can do; one that is too old to say it cannot."""
    handlers = [handler.features for handler in status.runtime_handlers]
    return {
        "recursive_read_only_mounts": any(one.recursive_read_only_mounts for one in handlers),
        "user_namespaces": any(one.user_namespaces for one in handlers),
        "supplemental_groups_policy": status.features.supplemental_groups_policy,
    }


def needed(request: Message) -> set[str]:
    """What an endpoint has to announce before it gets ``request``: each is a promise of isolation."""
    match request:
        case v1.RunPodSandboxRequest():
            return _needed_by(request.config.linux.security_context)
        case v1.CreateContainerRequest():
            config = request.config
            mounts = any(mount.recursive_read_only for mount in config.mounts)
            return _needed_by(config.linux.security_context) | ({"recursive_read_only_mounts"} if mounts else set())
    return set()


def _needed_by(context: v1.LinuxSandboxSecurityContext | v1.LinuxContainerSecurityContext) -> set[str]:
    namespaces = context.namespace_options
    has_users = namespaces.HasField("userns_options") and namespaces.userns_options.mode == v1.POD
    is_strict = context.supplemental_groups_policy == v1.Strict
    features = {"user_namespaces": has_users, "supplemental_groups_policy": is_strict}
    return {feature for feature, wanted in features.items() if wanted}


def _platform(own: Platform | None, *annotations: Mapping[str, str]) -> dict[str, str]:
    wanted = platforms.wanted(*annotations)
    if wanted is None or (own is not None and own.runs(wanted)):
        return {}
    return {names.PLATFORM: str(wanted)}
