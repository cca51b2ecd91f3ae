"""The capability sets of a container's first process. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.native.oci.facts import HostFacts
from runtimes.shared.capabilities import ALL, NAMES, plain

DEFAULT = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
    "SYS_CHROOT",
)  # fmt: skip
"""What a container has that asks for nothing: Podman's list. Docker's has MKNOD, NET_RAW and AUDIT_WRITE besides."""

_FIELD = "config.linux.security_context.capabilities"


def sets(context: v1.LinuxContainerSecurityContext, host: HostFacts) -> dict[str, list[str]]:
    """All five sets. Inheritable ones are the ambient ones only: others would come back by a program with capabilities
    of its own. Raises InvalidArgument for an unknown name, FailedPrecondition for one that this process has not."""
    if context.privileged:
        return _sets(everything(host), ())
    wanted = context.capabilities
    ambient = plain(f"{_FIELD}.add_ambient_capabilities", wanted.add_ambient_capabilities)
    add = [*plain(f"{_FIELD}.add_capabilities", wanted.add_capabilities), *ambient]
    drop = plain(f"{_FIELD}.drop_capabilities", wanted.drop_capabilities)
    found: set[str] = set(DEFAULT) & set(everything(host))
    if ALL in drop:
        found = set()
    elif ALL in add:
        found = set(everything(host))
    single = set(add) - {ALL}
    for name in sorted(single - set(everything(host))):
        raise FailedPrecondition(f"{_FIELD}: {name} cannot be given, since minicri has not got it itself")
    found = (found | single) - set(drop)
    return _sets(found, found if ALL in ambient else found & set(ambient))


def everything(host: HostFacts) -> list[str]:
    """What this process may hand on."""
    return [name for number, name in enumerate(NAMES) if host.process.may(number)]


def _sets(found: Iterable[str], ambient: Iterable[str]) -> dict[str, list[str]]:
    whole, kept = _spelled(found), _spelled(ambient)
    return {"bounding": whole, "effective": whole, "permitted": whole, "inheritable": kept, "ambient": kept}


def _spelled(names: Iterable[str]) -> list[str]:
    return [f"CAP_{name}" for name in sorted(names, key=NAMES.index)]
