"""The specs that random histories are about, by number, and how their containers behave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from manifests.spec import TaskSpec
from tests.orchestrator.engine import Key


def _beside(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "image": "busybox"} for name in names]


NEVER = {"policy": "never"}
SELDOM = {"exec": ["true"], "initial_delay": 3600}
"""What such a probe would find is made up by the test."""
VARIANTS: Sequence[dict[str, Any]] = (
    {"restart": NEVER},
    {"restart": {"policy": "on-failure", "backoff": 0, "attempts": 2}},
    {"restart": {"policy": "always", "backoff": 0, "attempts": 3}},
    {"restart": NEVER, "image": "far/away"},
    {"restart": NEVER, "init": _beside("init"), "containers": _beside("side")},
    {
        "restart": {"policy": "on-failure", "backoff": 0, "attempts": 2},
        "init": _beside("init", "init-fails-once"),
        "containers": _beside("side", "other"),
    },
    {
        "restart": {"policy": "on-failure", "backoff": 0, "attempts": 1},
        "hooks": {"post_start": ["x"], "pre_stop": ["y"]},
    },
    {"restart": NEVER, "resources": {"memory": 64}, "containers": _beside("side")},
    {"restart": NEVER, "resources": {"memory": 128}, "containers": _beside("side")},
    {"restart": {"policy": "always", "backoff": 0, "attempts": 2}, "depends_on": {"a": "ready"}},
    {"restart": NEVER, "depends_on": {"b": "completed"}},
    {"restart": {"policy": "on-failure", "backoff": 0, "attempts": 2}, "probes": {"liveness": SELDOM}},
)


def spec(task_id: str, variant: int) -> TaskSpec:
    said = {"name": task_id, "image": "busybox", **VARIANTS[variant]}
    if task_id in said.get("depends_on", ()):
        del said["depends_on"]
    return TaskSpec.model_validate(said)


def init_ends(key: Key) -> int | None:
    """Init containers end at once; the one that fails does so in first attempts."""
    _, _, attempt, name = key
    if not name.startswith("init"):
        return None
    return 1 if name == "init-fails-once" and attempt == 0 else 0
