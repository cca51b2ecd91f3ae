"""Sandboxes as specs of pods."""

from __future__ import annotations

from typing import Any

import pytest

from cri import networks
from cri.annotations import EXTRA_HOSTS, IPV4, MAC_ADDRESS, NETWORK, NETWORK_ALIASES
from cri.errors import InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman import sandbox_config
from runtimes.podman.features import EngineFacts
from runtimes.shared import labels
from tests.runtimes.podman.examples import facts, linux, own_users, sandbox


def pod(engine: EngineFacts | None = None, handler: str = "", **fields: Any) -> dict[str, Any]:
    request = v1.RunPodSandboxRequest(config=sandbox(**fields), runtime_handler=handler)
    network = networks.read(request.config.annotations)
    return sandbox_config.pod("minicri_x", request, network, engine or facts(), created_ns=7, host_gateway="10.0.0.1")


def test_the_labels_bring_the_request_back() -> None:
    made = pod(annotations={"a": "b"})
    assert labels.sandbox_spec(made["labels"]).config.annotations == {"a": "b"}


def test_a_pod_outlives_its_containers() -> None:
    assert pod()["exit_policy"] == "continue"


def test_a_hostname_that_nobody_chose_is_one_that_the_kernel_takes() -> None:
    assert len(pod()["hostname"]) < 64
    assert pod(hostname="mine")["hostname"] == "mine"


def test_a_sandbox_on_the_hosts_network_has_the_hosts_name_and_publishes_nothing() -> None:
    ports = [v1.PortMapping(container_port=80, host_port=8080)]
    made = pod(linux=linux(namespace_options=v1.NamespaceOption(network=v1.NODE)), port_mappings=ports)
    assert (made["netns"], made["utsns"]) == ({"nsmode": "host"}, {"nsmode": "host"})
    assert "uts" not in made["shared_namespaces"]
    assert "portmappings" not in made
    assert "hostname" not in made


def test_ipc_of_the_host_is_not_the_pods_to_share() -> None:
    assert "ipc" in pod()["shared_namespaces"]
    assert "ipc" not in pod(linux=linux(namespace_options=v1.NamespaceOption(ipc=v1.NODE)))["shared_namespaces"]


def test_only_ports_of_the_host_are_published() -> None:
    ports = [
        v1.PortMapping(container_port=80, host_port=8080, protocol=v1.UDP, host_ip="127.0.0.1"),
        v1.PortMapping(container_port=81),
    ]
    assert pod(port_mappings=ports)["portmappings"] == [
        {"container_port": 80, "host_port": 8080, "host_ip": "127.0.0.1", "protocol": "udp"}
    ]


def test_an_endpoint_belongs_to_its_network() -> None:
    made = pod(
        annotations={NETWORK: "shop", NETWORK_ALIASES: "web,www", IPV4: "10.9.0.7", MAC_ADDRESS: "02:00:00:00:00:07"}
    )
    endpoint = {"aliases": ["web", "www"], "static_ips": ["10.9.0.7"], "static_mac": "02:00:00:00:00:07"}
    assert (made["netns"], made["networks"]) == ({"nsmode": "bridge"}, {"shop": endpoint})


def test_a_hardware_address_alone_is_one_on_the_default_network() -> None:
    assert pod(annotations={MAC_ADDRESS: "02:00:00:00:00:07"})["networks"] == {
        "default": {"static_mac": "02:00:00:00:00:07"}
    }


def test_a_rootless_sandbox_is_on_a_bridge_where_others_reach_it() -> None:
    assert pod(facts(security={"rootless": True}))["netns"] == {"nsmode": "bridge"}
    assert "netns" not in pod()


@pytest.mark.parametrize("name", ["host", "default", "bridge", "private", "pasta", "slirp4netns"])
def test_a_network_mode_of_podman_cannot_be_smuggled_in_as_a_name(name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"minicri\.io/network"):
        pod(annotations={NETWORK: name})


def test_the_host_has_its_address_in_the_place_of_its_word() -> None:
    assert pod(annotations={EXTRA_HOSTS: "db=10.1.1.1,me=host-gateway"})["hostadd"] == ["db:10.1.1.1", "me:10.0.0.1"]


def test_given_servers_come_without_the_hosts_search_list() -> None:
    assert pod(dns_config=v1.DNSConfig(servers=["10.0.0.53"]))["dns_search"] == ["."]
    assert "dns_search" not in pod()


def test_another_handler_than_the_engines_runtime_is_refused() -> None:
    assert pod(handler="crun")
    with pytest.raises(InvalidArgument, match="runtime_handler"):
        pod(handler="kata")


def test_users_of_its_own_are_the_pods_to_share() -> None:
    made = pod(linux=linux(namespace_options=own_users()))
    assert made["userns"] == {"nsmode": "private"}
    assert made["idmappings"]["UIDMap"] == [{"container_id": 0, "host_id": 100000, "size": 65536}]
    assert "user" in made["shared_namespaces"]


def test_a_rootless_engine_has_no_users_to_give() -> None:
    with pytest.raises(Unimplemented, match="userns_options"):
        pod(facts(security={"rootless": True}), linux=linux(namespace_options=own_users()))


@pytest.mark.parametrize(
    ("driver", "path", "expected"),
    [
        ("cgroupfs", "/kubepods/pod1", "/kubepods/pod1"),
        ("cgroupfs", "/kubepods.slice", "/kubepods.slice/pods"),
        ("systemd", "/kubepods.slice/kubepods-pod1.slice", "kubepods-pod1.slice"),
    ],
)
def test_a_cgroup_parent_has_the_form_that_the_engine_takes(driver: str, path: str, expected: str) -> None:
    made = pod(facts(cgroupManager=driver), linux=v1.LinuxPodSandboxConfig(cgroup_parent=path))
    assert made["cgroup_parent"] == expected


def test_the_pause_program_may_gain_nothing() -> None:
    profile = v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost, localhost_ref="/etc/p.json")
    assert pod(linux=linux(seccomp=profile))["security_opt"] == ["seccomp=/etc/p.json", "no-new-privileges"]
