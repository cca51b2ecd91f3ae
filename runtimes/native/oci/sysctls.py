"""A sandbox's sysctls, set once in its namespaces, before its first container. Pure."""

from __future__ import annotations

from cri.v1 import api_pb2 as v1
from runtimes.shared import sandbox_rules

DEFAULT = {"net.ipv4.ping_group_range": "0 0"}
"""Podman's: root may ping, without the capability to send whatever packets it likes."""


def of_sandbox(config: v1.LinuxPodSandboxConfig) -> dict[str, str]:
    """By dotted name. Raises InvalidArgument for one of the host's."""
    given = sandbox_rules.sysctls(config)
    own_network = config.security_context.namespace_options.network != v1.NODE
    return {**DEFAULT, **given} if own_network else given
