"""What a container needs to know of the sandbox that it joins."""

from __future__ import annotations

from typing import NamedTuple

from cri.v1 import api_pb2 as v1


class ReadySandbox(NamedTuple):
    """What made it, and the container that holds its namespaces."""

    request: v1.RunPodSandboxRequest
    infra_id: str
