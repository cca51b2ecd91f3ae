"""Seccomp profiles of engines, turned into the runtime's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import seccomp
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import Profile, config, context, host, linux, sandbox, spec

ALLOW = "SCMP_ACT_ALLOW"


def allowed(rule: dict[str, Any], *capabilities: str, **facts: Any) -> bool:
    """Whether a rule of a profile holds for a container with these capabilities on such a host."""
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["x"], "action": ALLOW, **rule}]}
    return bool(seccomp.filters(profile, capabilities, host(**facts))["syscalls"])


def filters(profile: v1.SecurityProfile | None, **request: Any) -> dict[str, Any] | None:
    made = spec(config(context(seccomp=profile)), **request)
    found: dict[str, Any] | None = made["linux"].get("seccomp")
    return found


@pytest.mark.parametrize(
    ("rule", "capabilities", "holds"),
    [
        ({}, (), True),
        ({"includes": {"caps": ["CAP_BPF"]}}, (), False),
        ({"includes": {"caps": ["CAP_BPF"]}}, ("CAP_BPF",), True),
        ({"excludes": {"caps": ["CAP_BPF"]}}, (), True),
        ({"excludes": {"caps": ["CAP_BPF"]}}, ("CAP_BPF", "CAP_KILL"), False),
        ({"includes": {"arches": ["arm64"]}}, (), False),
        ({"includes": {"arches": ["amd64", "x32"]}}, (), True),
        ({"excludes": {"arches": ["amd64"]}}, (), False),
        ({"includes": {"minKernel": "4.8"}}, (), True),
        ({"includes": {"minKernel": "6.20"}}, (), False),
        ({"excludes": {"minKernel": "4.8"}}, (), False),
    ],
)
def test_a_rule_holds_for_its_capabilities_architectures_and_kernels(
    rule: dict[str, Any], capabilities: tuple[str, ...], holds: bool
) -> None:
    assert allowed(rule, *capabilities, kernel=(6, 1), architecture="amd64") == holds


def test_a_rule_keeps_what_decides() -> None:
    argument = {"index": 0, "value": 8, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"}
    rule = {"name": "personality", "action": ALLOW, "args": [argument], "errnoRet": 1, "errno": "EPERM", "comment": "c"}
    made = seccomp.filters({"defaultAction": "SCMP_ACT_KILL", "defaultErrnoRet": 38, "syscalls": [rule]}, (), host())
    assert made["syscalls"] == [{"names": ["personality"], "action": ALLOW, "args": [argument], "errnoRet": 1}]
    assert (made["defaultAction"], made["defaultErrnoRet"]) == ("SCMP_ACT_KILL", 38)


def test_the_filter_is_for_all_architectures_that_the_kernel_runs() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        ],
    }
    found = seccomp.filters(profile, (), host(architecture="amd64"))["architectures"]
    assert found == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def test_nothing_said_and_unconfined_are_no_filter() -> None:
    assert filters(None) is None
    assert filters(Profile(profile_type=Profile.Unconfined)) is None


def test_privileged_overrules_a_profile() -> None:
    made = spec(config(context(privileged=True, seccomp=Profile())), sandbox(linux(privileged=True)))
    assert "seccomp" not in made["linux"]


def test_the_default_is_the_hosts_profile_and_never_none() -> None:
    found = filters(Profile())
    assert found is not None
    assert found["syscalls"] == [{"names": ["read"], "action": ALLOW}]
    with pytest.raises(FailedPrecondition, match="containers-common"):
        filters(Profile(), facts=host(seccomp_profile=None))
    with pytest.raises(FailedPrecondition, match="kernel"):
        filters(Profile(), facts=host(seccomp=False))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"defaultAction": 1, "syscalls": 7}', '{"defaultAction": "a", "syscalls": [{"action": "b"}]}'],
)
def test_a_profile_that_is_none_is_refused(text: str) -> None:
    local = Profile(profile_type=Profile.Localhost, localhost_ref="/p.json")
    with pytest.raises(InvalidArgument, match="seccomp"):
        filters(local, seccomp_json=text)


def test_a_profile_of_this_host_filters_what_it_names(crun: Bench, tmp_path: Path) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    path = tmp_path / "no-mkdir.json"
    path.write_text(json.dumps({"defaultAction": ALLOW, "syscalls": [rule]}))
    local = Profile(profile_type=Profile.Localhost, localhost_ref=str(path))
    wanted = config(context(seccomp=local), command=["mkdir", "/x"])
    assert "not permitted" in crun.run(crun.spec(wanted, crun.sandbox())).output


def test_a_profile_that_cannot_be_read_is_refused(crun: Bench) -> None:
    local = Profile(profile_type=Profile.Localhost, localhost_ref="/nothing.json")
    with pytest.raises(InvalidArgument, match="localhost_ref"):
        crun.spec(config(context(seccomp=local)), crun.sandbox())
