"""What importing costs: nothing heavy before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import cri

HEAVY = {
    "grpc",
    "google.protobuf",
    "pydantic",
    "prometheus_client",
    "yaml",
    "grpc_health.v1.health",
    "grpc_reflection.v1alpha.reflection",
    "docker",
}


def loaded_after(statement: str) -> set[str]:
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(ran.stdout))


def test_importing_cri_loads_nothing_heavy() -> None:
    assert loaded_after("import cri") & HEAVY == set()


def test_the_messages_and_the_table_load_neither_pydantic_nor_a_server() -> None:
    loaded = loaded_after("import cri.rpc, cri.errors, cri.runtime")
    assert loaded & HEAVY == {"grpc", "google.protobuf"}


def test_a_server_loads_neither_metrics_nor_yaml_nor_an_engine() -> None:
    assert loaded_after("import cri; cri.serve") & {"prometheus_client", "yaml", "docker"} == set()


def test_the_settings_load_no_yaml_and_no_engine() -> None:
    assert loaded_after("import cri.config") & {"prometheus_client", "yaml", "docker"} == set()


@pytest.mark.parametrize("name", cri.__all__)
def test_every_name_that_cri_offers_is_there(name: str) -> None:
    assert getattr(cri, name) is not None


def test_a_name_that_cri_does_not_offer_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        cri.nonsense  # noqa: B018
