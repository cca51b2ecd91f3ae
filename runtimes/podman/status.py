"""Version, Status and RuntimeConfig: what this runtime is and what it can do."""

from __future__ import annotations

import json
from dataclasses import asdict

from cri.errors import CRIError
from cri.v1 import api_pb2 as v1
from runtimes.podman import read_only
from runtimes.podman.engine import Engine
from runtimes.podman.features import EngineFacts

KUBELET_API_VERSION = "0.1.0"
CRI_VERSION = "v1"
RUNTIME_NAME = "podman"


class Status:
    """The runtime service's calls about itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def version(self) -> v1.VersionResponse:
        facts = await self._engine.facts()
        return v1.VersionResponse(
            version=KUBELET_API_VERSION,
            runtime_name=RUNTIME_NAME,
            runtime_version=facts.engine_version,
            runtime_api_version=CRI_VERSION,
        )

    async def status(self, *, verbose: bool) -> v1.StatusResponse:
        """CRI: an engine that is down is a condition, not an error."""
        try:
            await self._engine.get_bytes("/_ping")
            facts = await self._engine.facts()
        except CRIError as error:
            return v1.StatusResponse(
                status=v1.RuntimeStatus(
                    conditions=[
                        v1.RuntimeCondition(type=kind, status=False, reason="EngineUnavailable", message=error.message)
                        for kind in ("RuntimeReady", "NetworkReady")
                    ]
                )
            )
        answer = v1.StatusResponse(
            status=v1.RuntimeStatus(
                conditions=[v1.RuntimeCondition(type=kind, status=True) for kind in ("RuntimeReady", "NetworkReady")]
            ),
            runtime_handlers=handlers(facts, is_local=self._engine.is_local),
            # Groups are worked out here, so every engine can be strict.
            features=v1.RuntimeFeatures(supplemental_groups_policy=True),
        )
        if verbose:
            answer.info["engine"] = json.dumps(asdict(facts), sort_keys=True)
            answer.info["config"] = self._engine.config.model_dump_json()
        return answer

    async def runtime_config(self) -> v1.RuntimeConfigResponse:
        """CRI: always set; an engine without cgroups of its own counts as cgroupfs."""
        facts = await self._engine.facts()
        driver = v1.SYSTEMD if facts.cgroup_driver == "systemd" else v1.CGROUPFS
        return v1.RuntimeConfigResponse(linux=v1.LinuxRuntimeConfiguration(cgroup_driver=driver))


def handlers(facts: EngineFacts, *, is_local: bool) -> list[v1.RuntimeHandler]:
    """The default handler, whose name is empty, and the OCI runtime that it is, by name."""
    features = v1.RuntimeHandlerFeatures(
        recursive_read_only_mounts=read_only.has_reach(facts, is_local=is_local),
        user_namespaces=not facts.features.rootless,
    )
    names = ["", *filter(None, [facts.default_handler])]
    return [v1.RuntimeHandler(name=name, features=features) for name in names]
