"""The labels by which what we made is found again, and all that CRI wants back is read again, after a restart.

Pure. The record of a thing is the request that made it, less secrets, as JSON in one label: nothing has to be kept in
step with the proto, and an engine that mixes an image's labels with those of the container cannot disturb it.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import json_format

from cri.annotations import PREFIX
from cri.v1 import api_pb2 as v1

KIND = PREFIX + "kind"
SANDBOX = "sandbox"
CONTAINER = "container"
NETWORK = "network"

OWNER = PREFIX + "owner"
"""Of what lasts a moment: who will remove it, see ``owner``."""

SANDBOX_ID = PREFIX + "sandbox"
"""On a container: the full id of its sandbox."""

CREATED_NS = PREFIX + "created-ns"
"""Nanoseconds since the epoch. Engines list creation times in whole seconds, which would neither sort nor agree with
what the status call says."""

SPEC = PREFIX + "spec"


def sandbox_labels(request: v1.RunPodSandboxRequest, created_ns: int) -> dict[str, str]:
    """The labels of a sandbox."""
    return {KIND: SANDBOX, CREATED_NS: str(created_ns), SPEC: _to_json(request)}


def container_labels(request: v1.CreateContainerRequest, created_ns: int) -> dict[str, str]:
    """The labels of a container. Values of environment variables stay out: labels are for anyone to see."""
    kept = v1.CreateContainerRequest(pod_sandbox_id=request.pod_sandbox_id, config=request.config)
    kept.config.ClearField("envs")
    kept.sandbox_config.log_directory = request.sandbox_config.log_directory
    kept.sandbox_config.metadata.CopyFrom(request.sandbox_config.metadata)
    return {
        KIND: CONTAINER,
        SANDBOX_ID: request.pod_sandbox_id,
        CREATED_NS: str(created_ns),
        SPEC: _to_json(kept),
    }


def sandbox_spec(labels: Mapping[str, str]) -> v1.RunPodSandboxRequest:
    """The request that made the sandbox. Raises ``json_format.ParseError`` for labels that are not ours."""
    return json_format.Parse(labels.get(SPEC, ""), v1.RunPodSandboxRequest(), ignore_unknown_fields=True)


def container_spec(labels: Mapping[str, str]) -> v1.CreateContainerRequest:
    """The request that made the container, without environment. Raises ``json_format.ParseError``."""
    return json_format.Parse(labels.get(SPEC, ""), v1.CreateContainerRequest(), ignore_unknown_fields=True)


def created_ns(labels: Mapping[str, str]) -> int:
    """When the thing was made, 0 where the label is missing."""
    text = labels.get(CREATED_NS, "")
    return int(text) if text.isdecimal() else 0


def _to_json(message: v1.RunPodSandboxRequest | v1.CreateContainerRequest) -> str:
    return json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)
