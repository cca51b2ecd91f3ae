"""Where Podman has the directories of one container, as far as that is known without asking about it. Pure."""

from __future__ import annotations

from pathlib import Path

from runtimes.podman.features import EngineFacts


def lasting(facts: EngineFacts, container_id: str) -> Path:
    """What lasts as long as the container: an inspection's ``StaticDir``."""
    return _of(facts.root_dir, facts, container_id)


def pid_file(facts: EngineFacts, container_id: str) -> Path:
    """Where the monitor writes the process's number: an inspection's ``PidFile``."""
    return _of(facts.run_dir, facts, container_id) / "pidfile"


def _of(root: str, facts: EngineFacts, container_id: str) -> Path:
    return Path(root or "/", f"{facts.storage_driver}-containers", container_id, "userdata")
