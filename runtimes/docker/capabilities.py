"""Capabilities as Docker's ``CapAdd`` and ``CapDrop``. Pure."""

from __future__ import annotations

from cri.errors import Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker.features import EngineFacts, api_tuple
from runtimes.shared.capabilities import ALL, NAMES, plain

_FIELD = "config.linux.security_context.capabilities"
_KNOWN_TO_20_10 = 38
_KNOWS_ALL_SINCE = (1, 42)


def options(wanted: v1.Capability, facts: EngineFacts) -> dict[str, list[str]]:
    """CRI's rule is Docker's too: ALL first, then the single ones. Raises InvalidArgument for an unknown name,
    Unimplemented for ambient ones, which Docker has no field for."""
    if wanted.add_ambient_capabilities:
        raise Unimplemented(
            f"{_FIELD}.add_ambient_capabilities: Docker sets no ambient "
            "capabilities; use add_capabilities, or file capabilities in the image"
        )
    add = plain(f"{_FIELD}.add_capabilities", wanted.add_capabilities)
    drop = plain(f"{_FIELD}.drop_capabilities", wanted.drop_capabilities)
    if ALL in add:
        add = [*_everything(facts), *(name for name in add if name != ALL)]
    return {"CapAdd": list(dict.fromkeys(add)), "CapDrop": list(dict.fromkeys(drop))}


def _everything(facts: EngineFacts) -> list[str]:
    """ALL, or by name what the engine itself may hand on: more than that would fail the start."""
    if all(facts.process.may(number) for number in range(len(NAMES))):
        return [ALL]
    known = len(NAMES) if api_tuple(facts.api_version) >= _KNOWS_ALL_SINCE else _KNOWN_TO_20_10
    return [name for number, name in enumerate(NAMES[:known]) if facts.process.may(number)]
