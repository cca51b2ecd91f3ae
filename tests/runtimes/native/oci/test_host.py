"""What is looked up of this host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import host, sysctls
from runtimes.native.oci.facts import ImageFacts
from runtimes.shared.accounts import Accounts
from tests.runtimes.native.oci.examples import linux


def test_this_host_is_described() -> None:
    found = host.look(cgroup_driver="cgroupfs")
    assert found.kernel >= (4, 0)
    assert found.process.visible
    assert found.files_limit > 0


def test_a_profile_of_the_configuration_takes_the_place_of_the_hosts(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    found = host.look(cgroup_driver="cgroupfs", seccomp_profile=path)
    assert found.seccomp_profile == {"defaultAction": "SCMP_ACT_ALLOW"}


@pytest.mark.parametrize("text", [None, "{"])
def test_a_profile_that_cannot_be_read_is_an_error_and_not_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "profile.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FailedPrecondition, match=r"profile\.json"):
        host.look(cgroup_driver="cgroupfs", seccomp_profile=path)


def test_an_image_config_may_be_whole_or_its_inner_part() -> None:
    inner: dict[str, Any] = {
        "Env": ["A=1"],
        "Cmd": ["c"],
        "Volumes": {"/b": {}, "/a": {}},
        "User": "u",
        "Entrypoint": None,
    }
    whole = ImageFacts.read({"architecture": "amd64", "config": inner}, Accounts())
    assert whole == ImageFacts.read(inner, Accounts())
    assert (whole.env, whole.cmd, whole.volumes, whole.entrypoint) == (("A=1",), ("c",), ("/a", "/b"), ())


def test_root_may_ping_in_a_network_of_its_own() -> None:
    own = linux()
    assert sysctls.of_sandbox(own) == {"net.ipv4.ping_group_range": "0 0"}
    own.sysctls["net.ipv4.ping_group_range"] = "0 100"
    assert sysctls.of_sandbox(own) == {"net.ipv4.ping_group_range": "0 100"}
    assert sysctls.of_sandbox(linux(namespace_options=v1.NamespaceOption(network=v1.NODE))) == {}


def test_a_sysctl_of_the_host_is_refused() -> None:
    wanted = linux()
    wanted.sysctls["kernel.core_pattern"] = "|/x"
    with pytest.raises(InvalidArgument, match="core_pattern"):
        sysctls.of_sandbox(wanted)
