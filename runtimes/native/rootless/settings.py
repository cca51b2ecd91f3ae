"""Where an ordinary user's engine has its files."""

from __future__ import annotations

import os
from pathlib import Path

from cri.errors import FailedPrecondition
from runtimes.native.config import NativeConfig

_NAME = Path("minicri", "native")


def at_home(config: NativeConfig) -> NativeConfig:
    """``config`` with the user's own places where it names none, and without what takes root. Raises
    FailedPrecondition where the user has no directory for what runs, and for CNI."""
    if config.network.cni_config_dir:
        raise FailedPrecondition("network.cni_config_dir: CNI's plug-ins take root; leave it out")
    changes: dict[str, object] = {}
    if "root" not in config.model_fields_set:
        data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
        changes["root"] = Path(data) / _NAME
    if "run" not in config.model_fields_set:
        changes["run"] = _runtime_directory() / _NAME
    if config.cgroup_driver == "auto":
        changes["cgroup_driver"] = "none"
    return config.model_copy(update=changes)


def _runtime_directory() -> Path:
    for found in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}"):
        if found and os.access(found, os.W_OK):
            return Path(found)
    raise FailedPrecondition(
        "the native engine without root needs a directory for what runs: set XDG_RUNTIME_DIR (a login session does), "
        "or run in its configuration"
    )
