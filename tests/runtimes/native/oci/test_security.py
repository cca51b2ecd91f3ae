"""Masked and read-only paths, AppArmor and SELinux."""

from __future__ import annotations

from typing import Any

import pytest

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import selinux
from runtimes.native.oci.security import APPARMOR_PROFILE, MASKED_PATHS, READONLY_PATHS
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import Profile, config, context, host, linux, own_users, sandbox, spec


def paths(pod: v1.LinuxPodSandboxConfig | None = None, **security: Any) -> tuple[list[str], list[str]]:
    """What is masked, and what is read-only."""
    made = spec(config(context(**security)), sandbox(pod))["linux"]
    return made["maskedPaths"], made["readonlyPaths"]


def test_nothing_said_is_a_list_of_our_own() -> None:
    assert paths() == (list(MASKED_PATHS), list(READONLY_PATHS))


def test_what_is_said_is_all_there_is() -> None:
    assert paths(masked_paths=["/etc/secret"], readonly_paths=["/var"]) == (["/etc/secret"], ["/var"])


def test_nothing_said_where_users_are_the_sandboxs_own_is_nothing() -> None:
    assert paths(linux(namespace_options=own_users())) == ([], [])


def test_privileged_sees_all() -> None:
    assert paths(linux(privileged=True), privileged=True, masked_paths=["/x"]) == ([], [])


def test_a_container_is_not_more_privileged_than_its_sandbox() -> None:
    with pytest.raises(InvalidArgument, match="privileged"):
        paths(privileged=True)


@pytest.mark.parametrize("path", ["proc/keys", "/proc/../etc", "/a\0b"])
def test_a_path_that_may_mean_another_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgument, match="masked_paths"):
        paths(masked_paths=[path])


def test_masked_paths_are_empty_and_read_only_ones_not_writable(crun: Bench) -> None:
    asked = context(masked_paths=["/etc/passwd"], readonly_paths=["/tmp"])
    wanted = config(asked, command=["sh", "-c", "cat /etc/passwd; touch /tmp/x"])
    assert crun.run(crun.spec(wanted, crun.sandbox())).output == "touch: /tmp/x: Read-only file system"


@pytest.mark.parametrize(
    ("profile", "there", "expected"),
    [
        (None, True, APPARMOR_PROFILE),
        (None, False, None),
        (Profile(profile_type=Profile.Unconfined), True, None),
        (Profile(profile_type=Profile.Localhost, localhost_ref="localhost/mine"), True, "mine"),
    ],
)
def test_apparmor_confines_where_the_host_has_it(
    profile: v1.SecurityProfile | None, there: bool, expected: str | None
) -> None:
    made = spec(config(context(apparmor=profile)), facts=host(apparmor=there))
    assert made["process"].get("apparmorProfile") == expected


def test_a_profile_by_name_needs_apparmor() -> None:
    with pytest.raises(FailedPrecondition, match="AppArmor"):
        spec(config(context(apparmor=Profile(profile_type=Profile.Localhost, localhost_ref="mine"))))


def test_selinux_separates_sandboxes_by_their_level() -> None:
    one, other = (selinux.labels(v1.SELinuxOption(), name * 64) for name in "ab")
    assert one.process.startswith("system_u:system_r:container_t:s0:c")
    assert one.files.startswith("system_u:object_r:container_file_t:s0:c")
    assert one.process.split(":", 3)[3] == one.files.split(":", 3)[3] != other.files.split(":", 3)[3]


def test_selinux_options_of_the_container_come_before_the_sandboxs() -> None:
    pod = sandbox(linux(selinux_options=v1.SELinuxOption(level="s0:c1,c2")))
    made = spec(pod=pod, facts=host(selinux=True))
    assert made["process"]["selinuxLabel"] == "system_u:system_r:container_t:s0:c1,c2"
    own = context(selinux_options=v1.SELinuxOption(type="spc_t", level="s0"))
    assert spec(config(own), pod, facts=host(selinux=True))["process"]["selinuxLabel"].endswith("spc_t:s0")
    assert "selinuxLabel" not in spec(config(own), pod)["process"]
