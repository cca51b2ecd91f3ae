"""Names of sandboxes and containers, made from what identifies them, so that the engine itself refuses a second one.

Pure. A name is for people too: ``minicri_container_web_shop_default_4f2a91c07d3e_0``. It is never parsed; what a thing
is stands in its labels.
"""

from __future__ import annotations

import hashlib
import re

from cri.v1 import api_pb2 as v1

MAX_LENGTH = 180
"""Characters. Engines allow more; a longer name stops being readable."""

PREFIX = "minicri_"
"""Of every name that is made here."""

_PLAIN = re.compile(r"[A-Za-z0-9.-]*")
_KEPT = 48


def sandbox_name(metadata: v1.PodSandboxMetadata) -> str:
    """The name of the sandbox: the same for the same (name, namespace, uid, attempt), and for no other."""
    return _joined("sandbox", metadata.name, metadata.namespace, metadata.uid, str(metadata.attempt))


def container_name(metadata: v1.ContainerMetadata, sandbox: v1.PodSandboxMetadata, sandbox_id: str) -> str:
    """The name of a container: unique by (name, attempt) within its sandbox."""
    return _joined("container", metadata.name, sandbox.name, sandbox.namespace, sandbox_id[:12], str(metadata.attempt))


def _joined(kind: str, *parts: str) -> str:
    name = "_".join(("minicri", kind, *parts))
    # A part with "_" in it could make two different lists of parts join to one name, so it goes in as a hash.
    if len(name) <= MAX_LENGTH and all(_PLAIN.fullmatch(part) for part in parts):
        return name
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    readable = re.sub(r"[^A-Za-z0-9.-]", "-", parts[0])[:_KEPT]
    return f"minicri_{kind}_{readable}_{digest}"
