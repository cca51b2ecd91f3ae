"""The one table of what a backend of this repository may lack. Whatever is not here must work."""

from __future__ import annotations

from collections.abc import Mapping

from tests.conformance import containerd

DIFFERENCES: Mapping[tuple[str, str], str] = {
    ("fake", "kernel"): "its containers are coroutines; there is no kernel behind them",
    ("fake", "registry"): "its registries are its own: any name can be pulled and nothing is fetched",
    ("fake", "restart"): "its state is in memory and goes with it",
    ("docker", "binary-logs"): "Docker's json-file logs are text: bytes that are none become U+FFFD",
    ("docker", "sandbox-resources"): "a Docker sandbox has no limits of its own",
    ("docker", "user-namespaces"): "Docker maps users for the whole daemon or not at all",
    ("docker", "image-mounts"): "needs Docker 28",
    ("docker", "image-parts"): "needs Docker 28",
    ("docker", "recursive-read-only"): "needs Docker 25",
    ("docker", "ambient-capabilities"): "Docker has no ambient capabilities",
    ("podman", "sandbox-resources"): "libpod's API changes no limits of a pod",
    ("podman", "image-parts"): "needs Podman 5.4",
}


def allowed(backend: str, feature: str) -> str | None:
    """Why ``backend`` may lack ``feature``; None when it may not."""
    return DIFFERENCES.get((backend, feature))


def of_test(backend: str, test: str) -> str | None:
    """Why ``backend`` may fail the test of that name; None when it may not."""
    return containerd.DIFFERENCES.get(test) if backend == "remote" else None
