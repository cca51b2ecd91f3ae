"""What of a sandbox's network is to be had without root. Pure, but for what this process was told at its start."""

from __future__ import annotations

from cri.errors import FailedPrecondition, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.network import slirp

_missing: list[str] = []


def is_missing(why: str) -> None:
    """Note why this process has no network for sandboxes of its own."""
    _missing[:] = [why]


def why_not() -> str:
    """Why sandboxes can have no network of their own; empty where they can."""
    return "".join(_missing)


def check(config: v1.PodSandboxConfig) -> None:
    """Raises FailedPrecondition for a network of its own where there is none to have, Unimplemented for a port of the
    host that slirp4netns cannot listen on."""
    if config.linux.security_context.namespace_options.network == v1.NODE:
        return
    if why := why_not():
        raise FailedPrecondition(f"a sandbox has no network of its own here: {why}; or use the host's (NODE)")
    for port in config.port_mappings:
        if port.host_port and (port.protocol == v1.SCTP or ":" in port.host_ip):
            raise Unimplemented(
                f"config.port_mappings: port {port.host_port} takes root: others can be had on IPv4, TCP and UDP; "
                "use the host's network (NODE), or port-forward"
            )
        if port.host_port and not slirp.is_there():
            raise FailedPrecondition(
                "config.port_mappings: what runs here was begun by a minicri that gave no ports of the host to "
                "ordinary users; remove all sandboxes, and ten seconds later they are to be had"
            )
