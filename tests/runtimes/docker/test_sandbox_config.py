"""What a sandbox becomes in Docker's API; no engine is needed."""

from __future__ import annotations

from typing import Any

import pytest

from cri import networks
from cri.annotations import EXTRA_HOSTS, IPV4, IPV6, MAC_ADDRESS, NETWORK, NETWORK_ALIASES
from cri.errors import FailedPrecondition, InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.docker import sandbox_config
from runtimes.docker.features import EngineFacts
from runtimes.shared.engine_process import EngineProcess
from tests.runtimes.docker.examples import VERSION_29, facts, linux, sandbox


def built(
    config: v1.PodSandboxConfig, engine: EngineFacts | None = None, handler: str = "", **options: Any
) -> dict[str, Any]:
    request = v1.RunPodSandboxRequest(config=config, runtime_handler=handler)
    network = networks.read(config.annotations)
    return sandbox_config.pause_container(request, network, engine or facts(), created_ns=1, **options)


def host(config: v1.PodSandboxConfig, engine: EngineFacts | None = None, **options: Any) -> dict[str, Any]:
    part: dict[str, Any] = built(config, engine, **options)["HostConfig"]
    return part


def network_node() -> v1.LinuxPodSandboxConfig:
    return linux(namespace_options=v1.NamespaceOption(network=v1.NODE))


def test_a_sandbox_joins_the_default_bridge_with_the_least_rights() -> None:
    config = host(sandbox())
    assert config["NetworkMode"] == "bridge"
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges"]
    assert config["IpcMode"] == "shareable"


def test_host_port_0_is_not_published() -> None:
    mapping = v1.PortMapping(container_port=80, host_port=0)
    config = built(sandbox(port_mappings=[mapping]))
    assert config["ExposedPorts"] == {"80/tcp": {}}
    assert config["HostConfig"]["PortBindings"] == {}


def test_ports_of_every_protocol_are_published_at_their_addresses() -> None:
    mappings = [
        v1.PortMapping(protocol=v1.TCP, container_port=80, host_port=8080, host_ip="127.0.0.1"),
        v1.PortMapping(protocol=v1.TCP, container_port=80, host_port=8081),
        v1.PortMapping(protocol=v1.UDP, container_port=53, host_port=5353),
        v1.PortMapping(protocol=v1.SCTP, container_port=9, host_port=9),
    ]
    assert host(sandbox(port_mappings=mappings))["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}, {"HostIp": "", "HostPort": "8081"}],
        "53/udp": [{"HostIp": "", "HostPort": "5353"}],
        "9/sctp": [{"HostIp": "", "HostPort": "9"}],
    }


def test_the_hosts_network_has_no_published_ports() -> None:
    mapping = v1.PortMapping(container_port=80, host_port=80)
    config = host(sandbox(port_mappings=[mapping], linux=network_node()))
    assert config["NetworkMode"] == "host"
    assert config["PortBindings"] == {}


@pytest.mark.parametrize(
    "wish",
    [{NETWORK: "front"}, {NETWORK: "none"}, {MAC_ADDRESS: "02:42:ac:11:00:10"}],
)
def test_the_hosts_network_and_a_network_of_ones_own_exclude_each_other(wish: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match="NODE"):
        built(sandbox(annotations=wish, linux=network_node()))


@pytest.mark.parametrize("name", ["host", "default"])
def test_a_network_mode_of_docker_cannot_be_smuggled_in_as_a_name(name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        built(sandbox(annotations={NETWORK: name}))


def test_no_port_can_be_published_without_a_network() -> None:
    mapping = v1.PortMapping(container_port=80, host_port=8080)
    with pytest.raises(InvalidArgument, match="port 80"):
        built(sandbox(port_mappings=[mapping], annotations={NETWORK: "none"}))


def test_addresses_and_aliases_belong_to_the_endpoint_on_the_named_network() -> None:
    wish = {
        NETWORK: "front",
        IPV4: "10.77.0.10",
        IPV6: "fd00:77::10",
        NETWORK_ALIASES: "www, web.shop",
    }
    config = built(sandbox(annotations=wish))
    assert config["HostConfig"]["NetworkMode"] == "front"
    assert config["NetworkingConfig"]["EndpointsConfig"] == {
        "front": {
            "IPAMConfig": {"IPv4Address": "10.77.0.10", "IPv6Address": "fd00:77::10"},
            "Aliases": ["www", "web.shop"],
        }
    }


def test_the_mac_address_stands_where_the_engines_api_wants_it() -> None:
    config = sandbox(annotations={MAC_ADDRESS: "02:42:ac:11:00:10"})
    assert built(config)["MacAddress"] == "02:42:ac:11:00:10"
    newer = built(config, facts(VERSION_29))
    assert "MacAddress" not in newer
    assert newer["NetworkingConfig"]["EndpointsConfig"]["bridge"]["MacAddress"] == "02:42:ac:11:00:10"


def test_dns_is_what_was_given_and_no_search_list_of_the_host() -> None:
    config = host(sandbox(dns_config=v1.DNSConfig(servers=["10.0.0.10"], options=["ndots:5"])))
    assert config["Dns"] == ["10.0.0.10"]
    assert config["DnsSearch"] == ["."]
    assert config["DnsOptions"] == ["ndots:5"]


def test_without_dns_config_the_engine_decides() -> None:
    assert not {"Dns", "DnsSearch", "DnsOptions"} & host(sandbox()).keys()


def test_extra_hosts_reach_the_hosts_file() -> None:
    wish = {EXTRA_HOSTS: "db=10.0.0.5, gw=host-gateway"}
    assert host(sandbox(annotations=wish))["ExtraHosts"] == ["db:10.0.0.5", "gw:host-gateway"]


@pytest.mark.parametrize(
    ("driver", "path", "expected"),
    [
        ("cgroupfs", "/kubepods/pod1", "/kubepods/pod1"),
        ("cgroupfs", "/kubepods.slice/kubepods-pod1.slice", "/kubepods.slice/kubepods-pod1.slice"),
        ("systemd", "/kubepods.slice/kubepods-pod1.slice", "kubepods-pod1.slice"),
        ("systemd", "kubepods-pod1.slice", "kubepods-pod1.slice"),
        ("systemd", "", ""),
    ],
)
def test_a_cgroup_parent_takes_the_form_of_the_engines_driver(driver: str, path: str, expected: str) -> None:
    config = sandbox(linux=v1.LinuxPodSandboxConfig(cgroup_parent=path))
    assert host(config, facts(CgroupDriver=driver))["CgroupParent"] == expected


def test_a_path_is_no_cgroup_parent_for_systemd() -> None:
    config = sandbox(linux=v1.LinuxPodSandboxConfig(cgroup_parent="/kubepods/pod1"))
    with pytest.raises(InvalidArgument, match=r"\.slice"):
        built(config, facts(CgroupDriver="systemd"))


def test_the_configured_cgroup_parent_is_for_sandboxes_that_name_none() -> None:
    assert host(sandbox(), default_cgroup_parent="/mine")["CgroupParent"] == "/mine"
    named = sandbox(linux=v1.LinuxPodSandboxConfig(cgroup_parent="/theirs"))
    assert host(named, default_cgroup_parent="/mine")["CgroupParent"] == "/theirs"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("net.core.somaxconn", "net.core.somaxconn"),
        ("net/core/somaxconn", "net.core.somaxconn"),
        ("net/ipv4/conf/eth0.1/forwarding", "net.ipv4.conf.eth0/1.forwarding"),
    ],
)
def test_both_spellings_of_a_sysctl_are_the_same(name: str, expected: str) -> None:
    config = sandbox(linux=v1.LinuxPodSandboxConfig(sysctls={name: "1"}))
    assert host(config)["Sysctls"] == {expected: "1"}


@pytest.mark.parametrize("name", ["vm.swappiness", "kernel.hostname", "kernel.no_such_thing"])
def test_a_sysctl_of_the_whole_host_is_refused_with_those_allowed(name: str) -> None:
    config = sandbox(linux=v1.LinuxPodSandboxConfig(sysctls={name: "1"}))
    with pytest.raises(InvalidArgument, match=rf"'{name}'.*net\.\*.*kernel\.shmmax"):
        built(config)


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("net.core.somaxconn", v1.NamespaceOption(network=v1.NODE)),
        ("kernel.msgmax", v1.NamespaceOption(ipc=v1.NODE)),
        ("fs.mqueue.msg_max", v1.NamespaceOption(ipc=v1.NODE)),
    ],
)
def test_a_sysctl_of_a_namespace_shared_with_the_host_is_refused(name: str, shared: v1.NamespaceOption) -> None:
    own, hosts = linux(), linux(namespace_options=shared)
    for part in (own, hosts):
        part.sysctls[name] = "1"
    assert host(sandbox(linux=own))["Sysctls"] == {name: "1"}
    with pytest.raises(InvalidArgument, match=name):
        built(sandbox(linux=hosts))


def test_an_unknown_handler_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidArgument, match=r"'kata'.*crun, runc"):
        built(sandbox(), handler="kata")
    assert built(sandbox(), handler="crun")["HostConfig"]["Runtime"] == "crun"


def test_the_oom_score_goes_no_lower_than_the_engine_may_set_it() -> None:
    assert host(sandbox())["OomScoreAdj"] == -998
    assert host(sandbox(), facts(process=EngineProcess(oom_score_adj_floor=0)))["OomScoreAdj"] == 0


def test_namespaces_of_the_node_are_shared() -> None:
    config = host(sandbox(linux=linux(namespace_options=v1.NamespaceOption(pid=v1.NODE, ipc=v1.NODE))))
    assert (config["PidMode"], config["IpcMode"]) == ("host", "host")


def test_a_user_namespace_for_one_sandbox_is_refused() -> None:
    options = v1.NamespaceOption(userns_options=v1.UserNamespace(mode=v1.POD))
    with pytest.raises(Unimplemented, match="userns-remap"):
        built(sandbox(linux=linux(namespace_options=options)))


def test_the_nodes_user_namespace_opts_out_of_a_remapping_daemon_only() -> None:
    config = sandbox(linux=linux(namespace_options=v1.NamespaceOption(userns_options=v1.UserNamespace(mode=v1.NODE))))
    assert host(config)["UsernsMode"] == ""
    assert host(config, facts(SecurityOptions=["name=userns"]))["UsernsMode"] == "host"


def test_the_security_context_is_carried_over() -> None:
    security = linux(
        run_as_user=v1.Int64Value(value=1000),
        run_as_group=v1.Int64Value(value=2000),
        supplemental_groups=[3, 4],
        readonly_rootfs=True,
        seccomp=v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost, localhost_ref="/profile.json"),
        selinux_options=v1.SELinuxOption(type="t", level="s0"),
    )
    config = built(sandbox(linux=security), seccomp_json='{"a": 1}')
    assert config["User"] == "1000:2000"
    assert config["HostConfig"]["GroupAdd"] == ["3", "4"]
    assert config["HostConfig"]["ReadonlyRootfs"]
    assert config["HostConfig"]["SecurityOpt"] == [
        "label=type:t",
        "label=level:s0",
        'seccomp={"a": 1}',
        "no-new-privileges",
    ]


def test_a_privileged_sandbox_is_not_hardened() -> None:
    config = host(sandbox(linux=linux(privileged=True)))
    assert config["Privileged"]
    assert "CapDrop" not in config
    assert config["SecurityOpt"] == []


def test_an_apparmor_profile_needs_apparmor() -> None:
    profile = v1.SecurityProfile(profile_type=v1.SecurityProfile.Localhost, localhost_ref="strict")
    config = sandbox(linux=linux(apparmor=profile))
    assert "apparmor=strict" in host(config)["SecurityOpt"]
    with pytest.raises(FailedPrecondition, match="AppArmor"):
        built(config, facts(SecurityOptions=[]))
