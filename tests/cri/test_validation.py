"""Checks that every backend shares: a wrong request is refused before anything is made, and the field is named."""

from collections.abc import Callable

import pytest

from cri import validation
from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1


def sandbox() -> v1.PodSandboxConfig:
    return v1.PodSandboxConfig(metadata=v1.PodSandboxMetadata(name="n", namespace="ns", uid="u"))


def container() -> v1.ContainerConfig:
    return v1.ContainerConfig(metadata=v1.ContainerMetadata(name="c"), image=v1.ImageSpec(image="busybox"))


def test_a_plain_sandbox_and_container_are_accepted() -> None:
    validation.sandbox_config(sandbox())
    validation.container_config(container())


SANDBOX_FAULTS: dict[str, Callable[[v1.PodSandboxConfig], object]] = {
    "config.metadata.name": lambda c: c.metadata.ClearField("name"),
    "config.metadata.namespace": lambda c: c.metadata.ClearField("namespace"),
    "config.metadata.uid": lambda c: c.metadata.ClearField("uid"),
    "config.hostname": lambda c: setattr(c, "hostname", "no spaces"),
    "config.log_directory": lambda c: setattr(c, "log_directory", "logs"),
    "config.log_directory: '/logs": lambda c: setattr(c, "log_directory", "/logs\0"),
    "config.port_mappings[0].container_port": lambda c: c.port_mappings.add(container_port=0),
    "config.port_mappings[0].host_port": lambda c: c.port_mappings.add(container_port=1, host_port=65536),
    "config.port_mappings[0].host_ip": lambda c: c.port_mappings.add(container_port=1, host_ip="here"),
    "config.linux.sysctls": lambda c: c.linux.sysctls.update({"somaxconn": "1"}),
    "namespace_options.network": lambda c: setattr(c.linux.security_context.namespace_options, "network", v1.CONTAINER),
    "namespace_options.userns_options.mode": lambda c: setattr(
        c.linux.security_context.namespace_options.userns_options, "mode", v1.CONTAINER
    ),
    "run_as_group": lambda c: c.linux.security_context.run_as_group.SetInParent(),
    "minicri.io/ipv4": lambda c: c.annotations.update({"minicri.io/ipv4": "x"}),
    "minicri.io/platform": lambda c: c.annotations.update({"minicri.io/platform": "x"}),
}


@pytest.mark.parametrize("field", SANDBOX_FAULTS)
def test_a_fault_in_a_sandbox_is_named(field: str) -> None:
    config = sandbox()
    SANDBOX_FAULTS[field](config)
    with pytest.raises(InvalidArgument) as caught:
        validation.sandbox_config(config)
    assert field in caught.value.message


def add_mount(**fields: object) -> Callable[[v1.ContainerConfig], object]:
    return lambda c: c.mounts.add(**fields)


CONTAINER_FAULTS: dict[str, Callable[[v1.ContainerConfig], object]] = {
    "config.metadata.name": lambda c: c.metadata.ClearField("name"),
    "config.image.image": lambda c: c.image.ClearField("image"),
    "config.log_path": lambda c: setattr(c, "log_path", "a/../../x"),
    "config.log_path: 'a": lambda c: setattr(c, "log_path", "a\0b"),
    "config.envs[0].key": lambda c: c.envs.add(key="A=B"),
    "config.mounts[0].container_path": add_mount(host_path="/x"),
    "config.mounts[0].container_path: '/x": add_mount(host_path="/x", container_path="/x\0"),
    "config.mounts[0].host_path: '/x": add_mount(host_path="/x\0", container_path="/x"),
    "config.mounts[0].host_path": add_mount(container_path="/x", host_path="relative"),
    "config.mounts[0].recursive_read_only": add_mount(container_path="/x", host_path="/x", recursive_read_only=True),
    "config.mounts[0].image_sub_path": add_mount(
        container_path="/x", image=v1.ImageSpec(image="a"), image_sub_path="../etc"
    ),
    "config.devices[0].permissions": lambda c: c.devices.add(host_path="/dev/null", permissions="rr"),
    "run_as_username exclude": lambda c: c.linux.security_context.MergeFrom(
        v1.LinuxContainerSecurityContext(run_as_user=v1.Int64Value(value=1), run_as_username="a")
    ),
    "run_as_group needs": lambda c: c.linux.security_context.run_as_group.SetInParent(),
    "namespace_options.userns_options.mode": lambda c: setattr(
        c.linux.security_context.namespace_options.userns_options, "mode", v1.TARGET
    ),
    "target_id": lambda c: setattr(c.linux.security_context.namespace_options, "pid", v1.TARGET),
    "seccomp.localhost_ref": lambda c: setattr(
        c.linux.security_context.seccomp, "profile_type", v1.SecurityProfile.Localhost
    ),
    "config.linux.resources.memory_limit_in_bytes": lambda c: setattr(c.linux.resources, "memory_limit_in_bytes", -1),
    "config.linux.resources.oom_score_adj": lambda c: setattr(c.linux.resources, "oom_score_adj", 1001),
}


@pytest.mark.parametrize("field", CONTAINER_FAULTS)
def test_a_fault_in_a_container_is_named(field: str) -> None:
    config = container()
    CONTAINER_FAULTS[field](config)
    with pytest.raises(InvalidArgument) as caught:
        validation.container_config(config)
    assert field in caught.value.message


@pytest.mark.parametrize("path", ["0.log", "c/0.log", "a/../b.log", "..log"])
def test_a_log_path_inside_of_the_log_directory_is_accepted(path: str) -> None:
    validation.log_path(path)


@pytest.mark.parametrize("path", ["/0.log", "../x", "a/../../x"])
def test_a_log_path_that_leaves_the_log_directory_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgument, match="leaves"):
        validation.log_path(path)


MEMBER_FAULTS = {
    "namespace_options.network": v1.LinuxContainerSecurityContext(
        namespace_options=v1.NamespaceOption(network=v1.NODE)
    ),
    "namespace_options.ipc": v1.LinuxContainerSecurityContext(namespace_options=v1.NamespaceOption(ipc=v1.NODE)),
    "privileged": v1.LinuxContainerSecurityContext(privileged=True),
}


@pytest.mark.parametrize("field", MEMBER_FAULTS)
def test_a_container_gets_no_more_of_the_host_than_its_sandbox_has(field: str) -> None:
    with pytest.raises(InvalidArgument, match=field):
        validation.member(MEMBER_FAULTS[field], v1.LinuxSandboxSecurityContext())


def test_a_container_may_have_of_the_host_what_its_sandbox_has() -> None:
    of_host = v1.NamespaceOption(network=v1.NODE, ipc=v1.NODE)
    validation.member(
        v1.LinuxContainerSecurityContext(privileged=True, namespace_options=of_host),
        v1.LinuxSandboxSecurityContext(privileged=True, namespace_options=of_host),
    )


def test_the_hosts_processes_are_each_containers_own_choice() -> None:
    of_host = v1.LinuxContainerSecurityContext(namespace_options=v1.NamespaceOption(pid=v1.NODE))
    validation.member(of_host, v1.LinuxSandboxSecurityContext())
