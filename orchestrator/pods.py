"""From a task to its sandbox and containers: what the manifest means (``manifests.cri_messages``), and whose it is.

Everything a task becomes carries labels that say whose it is; by them it is found again after a crash. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cri.annotations import PREFIX
from cri.v1 import api_pb2 as v1
from manifests import cri_messages
from manifests.container import Container
from orchestrator.task import Task

INSTANCE = PREFIX + "instance"
TASK = PREFIX + "task"
UID = PREFIX + "uid"
ATTEMPT = PREFIX + "attempt"
PRE_STOP = PREFIX + "pre-stop"
"""On a container: its pre_stop hook as a list in JSON, for it may outlive its spec."""

NAMESPACE = "minicri"
"""The CRI namespace of every sandbox made here."""


def log_directory(state_dir: Path, uid: str) -> Path:
    """Where the logs of a task are."""
    return state_dir / "logs" / uid


def volume_directory(state_dir: Path, uid: str) -> Path:
    """Where the volumes of a task are."""
    return state_dir / "volumes" / uid


def task_folders(state_dir: Path) -> list[Path]:
    """Every folder of either kind that is there, whoever's it is. Reads the disk."""
    parents = (log_directory(state_dir, ""), volume_directory(state_dir, ""))
    return [folder for parent in parents if parent.is_dir() for folder in parent.iterdir() if folder.is_dir()]


def log_path(state_dir: Path, task: Task, container: str, attempt: int) -> Path:
    """The log file of one container of one attempt."""
    name = f"{attempt}.log" if container == task.spec.name else f"{container}.{attempt}.log"
    return log_directory(state_dir, task.uid) / name


def sandbox_config(task: Task, instance: str, state_dir: Path, attempt: int) -> v1.PodSandboxConfig:
    """The sandbox of a task. ``attempt`` tells apart sandboxes that a task has one after the other."""
    config = cri_messages.sandbox_config(task.spec, task.id)
    config.metadata.MergeFrom(v1.PodSandboxMetadata(name=task.id, uid=task.uid, namespace=NAMESPACE, attempt=attempt))
    config.log_directory = str(log_directory(state_dir, task.uid))
    config.labels.update(_labels(task, instance, attempt))
    return config


def container_config(
    task: Task, spec: Container, instance: str, state_dir: Path, attempt: int, environment: Mapping[str, str]
) -> v1.ContainerConfig:
    """One container of one attempt. Raises InvalidArgument for a user or signal that CRI cannot express."""
    config = cri_messages.container_config(task.spec, spec, environment, volume_directory(state_dir, task.uid))
    config.metadata.attempt = attempt
    config.log_path = log_path(state_dir, task, spec.name, attempt).name
    config.labels.update(_labels(task, instance, attempt))
    if spec.hooks.pre_stop:
        config.annotations[PRE_STOP] = json.dumps(spec.hooks.pre_stop)
    return config


def _labels(task: Task, instance: str, attempt: int) -> dict[str, str]:
    """The user's labels, and by which of ours things are found again."""
    ours = {INSTANCE: instance, TASK: task.id, UID: task.uid, ATTEMPT: str(attempt)}
    return {**task.spec.labels, **ours}
