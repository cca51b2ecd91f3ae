"""The host's policy of trust, containers-policy.json(5), so far as a skopeo that does not heed it needs it read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cri.errors import FailedPrecondition, PermissionDenied
from cri.references import Reference

_ANYTHING = {"insecureAcceptAnything"}


def policy_file() -> Path | None:
    """The policy that applies to this user; None where the host has none."""
    of_user = Path(os.environ.get("HOME") or "/root") / ".config/containers/policy.json"
    return next((path for path in (of_user, Path("/etc/containers/policy.json")) if path.is_file()), None)


def require_anything_goes(policy: Path, reference: Reference) -> None:
    """Raises PermissionDenied for an image that the policy rejects, FailedPrecondition for one whose signature it wants
    to see."""
    try:
        document = json.loads(policy.read_text())
        kinds = {str(each["type"]) for each in _requirements(document, reference)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FailedPrecondition(f"the policy {policy} cannot be read: {error}") from error
    if "reject" in kinds or not kinds:
        raise PermissionDenied(f"the policy {policy} rejects image {reference}")
    if kinds != _ANYTHING:
        raise FailedPrecondition(
            f"the policy {policy} wants the signature of image {reference}, which needs skopeo 1.13 or newer"
        )


def _requirements(document: Mapping[str, Any], reference: Reference) -> list[Mapping[str, Any]]:
    of_docker = document.get("transports", {}).get("docker", {})
    found = next((of_docker[scope] for scope in _scopes(reference) if scope in of_docker), document["default"])
    return list(found)


def _scopes(reference: Reference) -> Iterator[str]:
    """From the most specific to the least."""
    yield str(reference)
    name = reference.name
    while name:
        yield name
        name = name.rpartition("/")[0]
    host = reference.domain.partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
    yield ""
