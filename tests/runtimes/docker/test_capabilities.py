"""What capabilities become in Docker's API; no engine is needed."""

from __future__ import annotations

import pytest

from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker import capabilities
from runtimes.shared.engine_process import EngineProcess
from tests.runtimes.docker.examples import VERSION_29, facts

WITHOUT_RESOURCE = EngineProcess(capabilities=((1 << 41) - 1) & ~(1 << 24))


def wanted(add: list[str] | None = None, drop: list[str] | None = None) -> v1.Capability:
    return v1.Capability(add_capabilities=add or [], drop_capabilities=drop or [])


def test_names_may_be_spelled_with_and_without_prefix() -> None:
    assert capabilities.options(wanted(["CAP_NET_ADMIN", "sys_time"], ["NET_RAW"]), facts()) == {
        "CapAdd": ["NET_ADMIN", "SYS_TIME"],
        "CapDrop": ["NET_RAW"],
    }


def test_all_is_all_where_the_engine_holds_all() -> None:
    assert capabilities.options(wanted(["ALL"], ["ALL"]), facts()) == {"CapAdd": ["ALL"], "CapDrop": ["ALL"]}


def test_all_is_what_the_engine_holds_where_it_lacks_one() -> None:
    old = capabilities.options(wanted(["ALL"]), facts(process=WITHOUT_RESOURCE))["CapAdd"]
    assert "SYS_RESOURCE" not in old
    assert len(old) == 37
    assert "BPF" not in old
    new = capabilities.options(wanted(["ALL"]), facts(VERSION_29, process=WITHOUT_RESOURCE))["CapAdd"]
    assert len(new) == 40


def test_a_capability_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="'FLY'"):
        capabilities.options(wanted(["FLY"]), facts())


def test_ambient_capabilities_are_refused() -> None:
    with pytest.raises(Unimplemented, match="ambient"):
        capabilities.options(v1.Capability(add_ambient_capabilities=["NET_ADMIN"]), facts())
