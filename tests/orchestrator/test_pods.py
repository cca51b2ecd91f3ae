"""What each field of a spec becomes on the CRI side. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cri.annotations import EXTRA_HOSTS, IPV4, IPV6, MAC_ADDRESS, NETWORK, NETWORK_ALIASES, NETWORK_SUBNETS, PLATFORM
from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from manifests.container import Container
from manifests.cri_messages import image_spec, stop_signal
from manifests.spec import TaskSpec
from orchestrator.pods import (
    ATTEMPT,
    INSTANCE,
    PRE_STOP,
    TASK,
    UID,
    container_config,
    sandbox_config,
)
from orchestrator.task import Task
from tests.orchestrator.driving import spec

STATE = Path("/state")


def config_of(made: Task, which: Container) -> v1.ContainerConfig:
    return container_config(made, which, "ours", STATE, 2, which.env)


def container(**said: Any) -> v1.ContainerConfig:
    made = task(**said)
    return config_of(made, made.spec)


def sandbox(**said: Any) -> v1.PodSandboxConfig:
    return sandbox_config(task(**said), "ours", STATE, 1)


def task(**said: Any) -> Task:
    name = said.pop("name", "web")
    return Task(id=name, uid="u1", spec=spec(name, **said))


def test_everything_is_found_again_by_label() -> None:
    mine = {INSTANCE: "ours", TASK: "web", UID: "u1", "app": "shop"}
    assert dict(container(labels={"app": "shop"}).labels) == {**mine, ATTEMPT: "2"}
    assert dict(sandbox(labels={"app": "shop"}).labels) == {**mine, ATTEMPT: "1"}


def test_command_and_args_stay_apart() -> None:
    config = container(command=["sh", "-c"], args=["ls"])
    assert (list(config.command), list(config.args)) == (["sh", "-c"], ["ls"])


def test_the_environment_goes_into_the_container_and_nowhere_else() -> None:
    secret = {"env": {"PASSWORD": "s3cret"}}
    assert [(one.key, one.value) for one in container(**secret).envs] == [("PASSWORD", b"s3cret")]
    assert b"s3cret" not in sandbox(**secret).SerializeToString()


def test_the_working_directory_is_passed_on() -> None:
    assert container(workdir="/srv").working_dir == "/srv"


@pytest.mark.parametrize(
    ("user", "uid", "name", "gid"),
    [
        ("", None, "", None),
        ("1000", 1000, "", None),
        ("0:0", 0, "", 0),
        ("www", None, "www", None),
        ("www:33", None, "www", 33),
    ],
)
def test_a_user_is_a_number_or_a_name(user: str, uid: int | None, name: str, gid: int | None) -> None:
    context = container(user=user).linux.security_context
    assert (context.run_as_user.value if context.HasField("run_as_user") else None) == uid
    assert context.run_as_username == name
    assert (context.run_as_group.value if context.HasField("run_as_group") else None) == gid


def test_a_group_by_name_is_refused_because_cri_has_none() -> None:
    with pytest.raises(InvalidArgument, match="user: group 'www'"):
        container(user="1000:www")


def test_limits_are_a_quota_shares_bytes_and_a_number_of_processes() -> None:
    limits = container(resources={"cpu": "500m", "memory": "64Mi", "pids": 50}).linux.resources
    assert (limits.cpu_quota, limits.cpu_period, limits.cpu_shares) == (50_000, 100_000, 512)
    assert limits.memory_limit_in_bytes == limits.memory_swap_limit_in_bytes == 64 * 2**20
    assert dict(limits.unified) == {"pids.max": "50"}


def test_no_limit_is_said_where_none_was() -> None:
    assert container().linux.resources == v1.LinuxContainerResources()


def test_mounts_keep_source_target_and_mode() -> None:
    mounts = container(mounts=["/a:/b", "/c:/d:ro"]).mounts
    assert [(one.host_path, one.container_path, one.readonly) for one in mounts] == [
        ("/a", "/b", False),
        ("/c", "/d", True),
    ]


def test_a_terminal_is_passed_on() -> None:
    assert container(tty=True).tty


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("", v1.SIGNAL_RUNTIME_DEFAULT),
        ("SIGINT", v1.SIGNAL_SIGINT),
        ("term", v1.SIGNAL_SIGTERM),
        ("10", v1.SIGNAL_SIGUSR1),
        ("SIGRTMIN+3", v1.SIGNAL_SIGRTMINPLUS3),
    ],
)
def test_a_stop_signal_is_cris_own(word: str, expected: v1.Signal) -> None:
    assert stop_signal(word) == expected
    assert container(stop={"signal": word}).stop_signal == expected


def test_a_signal_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"stop\.signal: 'NONSENSE'"):
        stop_signal("NONSENSE")


def test_the_platform_stands_on_image_sandbox_and_container() -> None:
    said = {"platform": "linux/arm64/v8"}
    found = (image_spec("busybox", said["platform"]), sandbox(**said), container(**said))
    assert [dict(one.annotations) for one in found] == [{PLATFORM: "linux/arm64/v8"}] * 3


def test_a_named_network_and_its_addresses_are_annotations() -> None:
    network = {
        "name": "backend",
        "subnets": ["10.77.0.0/24"],
        "aliases": ["db"],
        "ipv4": "10.77.0.10",
        "ipv6": "fd00::1",
        "mac": "02:42:ac:11:00:10",
        "extra_hosts": {"api": "host-gateway"},
    }
    assert dict(sandbox(network=network).annotations) == {
        NETWORK: "backend",
        NETWORK_SUBNETS: "10.77.0.0/24",
        NETWORK_ALIASES: "db",
        IPV4: "10.77.0.10",
        IPV6: "fd00::1",
        MAC_ADDRESS: "02:42:ac:11:00:10",
        EXTRA_HOSTS: "api=host-gateway",
    }


def test_the_hosts_network_is_a_namespace_of_the_node() -> None:
    config = sandbox(network="host")
    assert config.linux.security_context.namespace_options.network == v1.NODE
    assert config.hostname == ""


def test_no_network_is_said_by_its_annotation() -> None:
    assert dict(sandbox(network="none").annotations) == {NETWORK: "none"}


def test_ports_are_the_sandboxs() -> None:
    [port] = sandbox(network={"ports": ["127.0.0.1:53:5353/udp"]}).port_mappings
    assert port == v1.PortMapping(protocol=v1.UDP, container_port=5353, host_port=53, host_ip="127.0.0.1")


def test_resolv_conf_is_passed_on() -> None:
    dns = {"servers": ["10.0.0.2"], "searches": ["example.org"], "options": ["ndots:2"]}
    assert sandbox(network={"dns": dns}).dns_config == v1.DNSConfig(**dns)


def test_a_host_name_is_the_tasks_own_unless_said() -> None:
    assert sandbox().hostname == "web"
    assert sandbox(network={"hostname": "db-1"}).hostname == "db-1"


def test_each_attempt_logs_into_its_own_file_of_the_tasks_folder() -> None:
    assert sandbox().log_directory == "/state/logs/u1"
    assert container().log_path == "2.log"


def test_the_other_containers_of_a_task_have_names_logs_and_settings_of_their_own() -> None:
    made = task(env={"A": "main"}, containers=[{"name": "proxy", "image": "envoy", "env": {"A": "beside"}}])
    config = config_of(made, made.spec.containers[0])
    assert (config.metadata.name, config.image.image, config.log_path) == ("proxy", "envoy", "proxy.2.log")
    assert [one.value for one in config.envs] == [b"beside"]
    assert config.labels == config_of(made, made.spec).labels


def test_a_container_may_be_given_more_and_less_than_the_engine_gives() -> None:
    capabilities = {"add": ["NET_ADMIN"], "drop": ["ALL"]}
    security = {"readonly_rootfs": True, "no_new_privileges": True, "capabilities": capabilities, "groups": [7]}
    context = container(security={**security, "seccomp": "unconfined"}).linux.security_context
    assert context.seccomp.profile_type == v1.SecurityProfile.Unconfined
    assert (context.readonly_rootfs, context.no_new_privs, list(context.supplemental_groups)) == (True, True, [7])
    assert list(context.capabilities.add_capabilities) == ["NET_ADMIN"]
    assert list(context.capabilities.drop_capabilities) == ["ALL"]
    assert not container().linux.security_context.HasField("capabilities")


def test_a_privileged_container_needs_a_privileged_sandbox_and_sees_all_of_proc() -> None:
    side = {"name": "side", "image": "busybox", "security": {"privileged": True}}
    assert sandbox(containers=[side]).linux.security_context.privileged
    assert not sandbox().linux.security_context.privileged
    context = container(security={"privileged": True}).linux.security_context
    assert (context.privileged, list(context.masked_paths), list(context.readonly_paths)) == (True, [], [])


def test_a_pre_stop_hook_stays_with_its_container() -> None:
    assert container(hooks={"pre_stop": ["drain", "now"]}).annotations[PRE_STOP] == '["drain", "now"]'


def test_a_task_runs_under_the_engines_default_seccomp_profile_with_proc_masked() -> None:
    context = container().linux.security_context
    assert context.seccomp.profile_type == v1.SecurityProfile.RuntimeDefault
    assert "/proc/kcore" in context.masked_paths
    assert "/proc/sys" in context.readonly_paths


def test_every_field_of_a_spec_is_tested_here() -> None:
    # What no runtime hears of, or hears as it is.
    elsewhere = {
        "name",
        "image",
        "restart",
        "replicas",
        "rollout",
        "pull",
        "init",
        "containers",
        "depends_on",
        "probes",
    }
    elsewhere |= {"env_files", "secrets"}
    text = Path(__file__).read_text()
    assert [name for name in TaskSpec.model_fields if name not in elsewhere and name not in text] == []
