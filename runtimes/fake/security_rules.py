"""Which security contexts a container may have in its sandbox. Pure; nothing of them is enforced later."""

from __future__ import annotations

from cri import validation
from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.fake.sandbox import Sandbox
from runtimes.shared import capabilities

_FIELD = "config.linux.security_context"


def check(security: v1.LinuxContainerSecurityContext, sandbox: Sandbox) -> None:
    """Raises InvalidArgument that names the field."""
    validation.member(security, sandbox.config.linux.security_context)
    _check_target(security.namespace_options, sandbox)
    if security.privileged:
        return  # its capabilities are not looked at
    for name in ("add_capabilities", "drop_capabilities", "add_ambient_capabilities"):
        capabilities.plain(f"{_FIELD}.capabilities.{name}", getattr(security.capabilities, name))


def _check_target(options: v1.NamespaceOption, sandbox: Sandbox) -> None:
    """CRI: the target of a shared process namespace is a container of the same sandbox that runs."""
    if options.pid == v1.TARGET:
        target = sandbox.containers.get(options.target_id)
        if target is None or not target.running:
            raise InvalidArgument(
                f"{_FIELD}.namespace_options.target_id: {options.target_id!r} is no running container of "
                f"sandbox {sandbox.id}"
            )
