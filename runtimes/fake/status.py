"""Version, Status and RuntimeConfig: what this runtime is and what it can do."""

from __future__ import annotations

import json

from cri.v1 import api_pb2 as v1
from runtimes.fake.backend import VERSION
from runtimes.fake.sandboxes import HANDLERS
from runtimes.fake.world import World

_CONDITIONS = ("RuntimeReady", "NetworkReady")


class Status:
    """The runtime service's calls about itself."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pod_cidr = ""

    def version(self) -> v1.VersionResponse:
        return v1.VersionResponse(
            version="0.1.0", runtime_name="fake", runtime_version=VERSION, runtime_api_version="v1"
        )

    def status(self, *, verbose: bool) -> v1.StatusResponse:
        """CRI: an engine that is down is a condition, not an error."""
        down = self._world.script.down
        reason = "EngineUnavailable" if down else ""
        conditions = [
            v1.RuntimeCondition(type=kind, status=not down, reason=reason, message=down) for kind in _CONDITIONS
        ]
        features = v1.RuntimeHandlerFeatures(recursive_read_only_mounts=True, user_namespaces=True)
        answer = v1.StatusResponse(
            status=v1.RuntimeStatus(conditions=conditions),
            runtime_handlers=[v1.RuntimeHandler(name=name, features=features) for name in HANDLERS],
            features=v1.RuntimeFeatures(supplemental_groups_policy=True),
        )
        if verbose:
            answer.info["config"] = self._world.config.model_dump_json()
            answer.info["network"] = json.dumps({"podCIDR": self._pod_cidr})
        return answer

    def runtime_config(self) -> v1.RuntimeConfigResponse:
        """CRI: always set, because the enum's zero means systemd."""
        return v1.RuntimeConfigResponse(linux=v1.LinuxRuntimeConfiguration(cgroup_driver=v1.CGROUPFS))

    def update(self, config: v1.RuntimeConfig) -> None:
        """Remembered for ``Status``; which addresses sandboxes get is a setting of the fake's own."""
        self._pod_cidr = config.network_config.pod_cidr
