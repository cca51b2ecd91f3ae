"""Version, Status and RuntimeConfig: what this runtime is and what it can do."""

from __future__ import annotations

import json

from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig
from runtimes.native.network import reach
from runtimes.native.oci.facts import HostFacts
from runtimes.native.oci_runtime import OciRuntime

KUBELET_API_VERSION = "0.1.0"
CRI_VERSION = "v1"
RUNTIME_NAME = "minicri"


class Status:
    """The runtime service's calls about itself."""

    def __init__(self, config: NativeConfig, host: HostFacts, runtimes: dict[str, OciRuntime], version: str) -> None:
        self._config = config
        self._host = host
        self._runtimes = runtimes
        self._version = version

    async def version(self) -> v1.VersionResponse:
        return v1.VersionResponse(
            version=KUBELET_API_VERSION,
            runtime_name=RUNTIME_NAME,
            runtime_version=self._version,
            runtime_api_version=CRI_VERSION,
        )

    async def status(self, *, verbose: bool) -> v1.StatusResponse:
        """There is no daemon that could be down: what could not be used was refused at the opening."""
        why = reach.why_not()
        conditions = [
            v1.RuntimeCondition(type="RuntimeReady", status=True),
            v1.RuntimeCondition(type="NetworkReady", status=not why, reason="NoNetwork" if why else "", message=why),
        ]
        answer = v1.StatusResponse(
            status=v1.RuntimeStatus(conditions=conditions),
            runtime_handlers=self._handlers(),
            features=v1.RuntimeFeatures(supplemental_groups_policy=True),
        )
        if verbose:
            answer.info["config"] = self._config.model_dump_json()
            answer.info["runtimes"] = json.dumps({name: each.path for name, each in self._runtimes.items()})
        return answer

    async def runtime_config(self) -> v1.RuntimeConfigResponse:
        """CRI: always set."""
        driver = v1.SYSTEMD if self._host.cgroup_driver == "systemd" else v1.CGROUPFS
        return v1.RuntimeConfigResponse(linux=v1.LinuxRuntimeConfiguration(cgroup_driver=driver))

    def _handlers(self) -> list[v1.RuntimeHandler]:
        """The default handler, whose name is empty, and each OCI runtime by its name."""
        features = v1.RuntimeHandlerFeatures(
            recursive_read_only_mounts=self._host.recursive_read_only,
            user_namespaces=self._host.idmapped_mounts,
        )
        return [v1.RuntimeHandler(name=name, features=features) for name in self._runtimes]
