"""What a container becomes in Docker's API; no engine is needed."""

from __future__ import annotations

from typing import Any

import pytest

from cri.errors import FailedPrecondition, InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker import container_config
from runtimes.docker.features import EngineFacts
from tests.runtimes.docker.examples import facts, linux, sandbox

USER = v1.LinuxContainerUser(uid=33, gid=330, supplemental_groups=[330, 50])


def body(
    config: v1.ContainerConfig | None = None,
    of: v1.PodSandboxConfig | None = None,
    engine: EngineFacts | None = None,
    seccomp_json: str = "",
) -> dict[str, Any]:
    """The container as Docker gets it."""
    complete = v1.ContainerConfig(image=v1.ImageSpec(image="busybox"))
    complete.MergeFrom(config or v1.ContainerConfig())
    request = v1.CreateContainerRequest(pod_sandbox_id="s", config=complete)
    of_sandbox = v1.RunPodSandboxRequest(config=of or sandbox())
    return container_config.container(
        request, of_sandbox, engine or facts(), user=USER, created_ns=1, seccomp_json=seccomp_json
    )


def secured(of: v1.PodSandboxConfig | None = None, seccomp_json: str = "", **context: Any) -> dict[str, Any]:
    """The HostConfig of a container with this security context."""
    security = v1.LinuxContainerSecurityContext(**context)
    config = v1.ContainerConfig(linux=v1.LinuxContainerConfig(security_context=security))
    found: dict[str, Any] = body(config, of, seccomp_json=seccomp_json)["HostConfig"]
    return found


def namespaced(of: v1.PodSandboxConfig | None = None, **options: Any) -> dict[str, Any]:
    return secured(of, namespace_options=v1.NamespaceOption(**options))


def test_the_user_goes_to_the_engine_in_numbers() -> None:
    assert body()["User"] == "33:330"
    assert body()["HostConfig"]["GroupAdd"] == ["50"]


def test_command_and_args_stand_for_entrypoint_and_cmd_only_when_given() -> None:
    assert not {"Entrypoint", "Cmd"} & body().keys()
    given = body(v1.ContainerConfig(command=["a"], args=["b"]))
    assert (given["Entrypoint"], given["Cmd"]) == (["a"], ["b"])


def test_the_health_check_of_the_image_does_not_run() -> None:
    assert body()["Healthcheck"] == {"Test": ["NONE"]}


def test_an_environment_that_is_not_utf_8_is_refused() -> None:
    good = v1.ContainerConfig(envs=[v1.KeyValue(key="A", value="é".encode())])
    assert body(good)["Env"] == ["A=é"]
    bad = v1.ContainerConfig(envs=[v1.KeyValue(key="A", value=b"\xff")])
    with pytest.raises(InvalidArgument, match="not UTF-8"):
        body(bad)


@pytest.mark.parametrize(
    ("mode", "expected"), [(v1.POD, "container:s"), (v1.CONTAINER, ""), (v1.NODE, "host")], ids=["pod", "own", "node"]
)
def test_a_container_shares_its_processes_with_whom_it_wants(mode: v1.NamespaceMode, expected: str) -> None:
    assert namespaced(pid=mode)["PidMode"] == expected


def test_a_container_may_join_the_processes_of_another() -> None:
    assert namespaced(pid=v1.TARGET, target_id="other")["PidMode"] == "container:other"


def test_network_and_ipc_are_those_of_the_sandbox() -> None:
    host = namespaced()
    assert (host["NetworkMode"], host["IpcMode"]) == ("container:s", "container:s")
    on_host = sandbox(linux=linux(namespace_options=v1.NamespaceOption(ipc=v1.NODE, network=v1.NODE)))
    assert namespaced(on_host)["IpcMode"] == "host"


def test_the_host_s_namespace_is_refused_in_a_sandbox_with_its_own() -> None:
    with pytest.raises(InvalidArgument, match="network"):
        namespaced(network=v1.NODE)
    with pytest.raises(InvalidArgument, match="ipc"):
        namespaced(ipc=v1.NODE)


def test_a_user_namespace_of_one_s_own_is_refused() -> None:
    with pytest.raises(Unimplemented, match="user namespace"):
        namespaced(userns_options=v1.UserNamespace(mode=v1.POD))


def test_no_seccomp_profile_is_unconfined_and_an_empty_one_the_default() -> None:
    assert secured()["SecurityOpt"] == ["seccomp=unconfined"]
    assert secured(seccomp=v1.SecurityProfile())["SecurityOpt"] == []


def test_a_seccomp_profile_of_this_host_goes_along_by_content() -> None:
    profile = v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost, localhost_ref="/p.json")
    assert secured(seccomp=profile, seccomp_json="{}")["SecurityOpt"] == ["seccomp={}"]


def test_no_new_privileges_is_an_option_of_its_own() -> None:
    assert "no-new-privileges" in secured(no_new_privs=True)["SecurityOpt"]


def test_an_apparmor_profile_needs_apparmor() -> None:
    profile = v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost, localhost_ref="mine")
    assert "apparmor=mine" in secured(apparmor=profile)["SecurityOpt"]
    config = v1.ContainerConfig()
    config.linux.security_context.apparmor.CopyFrom(profile)
    with pytest.raises(FailedPrecondition, match="AppArmor"):
        body(config, engine=facts(SecurityOptions=[]))


def test_selinux_labels_go_along_part_by_part() -> None:
    options = secured(selinux_options=v1.SELinuxOption(type="t", level="s0:c1"))["SecurityOpt"]
    assert "label=type:t" in options
    assert "label=level:s0:c1" in options


def test_paths_are_hidden_as_asked_and_as_the_engine_likes_when_nothing_is_said() -> None:
    assert not {"MaskedPaths", "ReadonlyPaths"} & secured().keys()
    host = secured(masked_paths=["/a"], readonly_paths=["/b"])
    assert (host["MaskedPaths"], host["ReadonlyPaths"]) == (["/a"], ["/b"])


def test_a_privileged_container_is_not_confined_whatever_else_is_asked() -> None:
    profile = v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost, localhost_ref="/p.json")
    host = secured(
        sandbox(linux=linux(privileged=True)), "{}", privileged=True, seccomp=profile, masked_paths=["/proc/kcore"]
    )
    assert host["Privileged"]
    assert host["SecurityOpt"] == ["seccomp=unconfined"]
    assert "MaskedPaths" not in host


def test_a_privileged_container_needs_a_privileged_sandbox() -> None:
    with pytest.raises(InvalidArgument, match="not privileged itself"):
        secured(privileged=True)


def test_a_root_file_system_can_be_read_only() -> None:
    assert secured(readonly_rootfs=True)["ReadonlyRootfs"]
