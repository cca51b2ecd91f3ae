"""Containers as libpod's specs, and their parts: namespaces, security, mounts, limits, signals."""

from __future__ import annotations

from typing import Any

import pytest

from cri.errors import FailedPrecondition, InvalidArgument, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.podman import container_config, resources, security
from runtimes.podman.features import EngineFacts
from runtimes.shared import labels, signals
from runtimes.shared.engine_process import EngineProcess
from tests.runtimes.podman.examples import facts, linux, own_users, sandbox

Profile = v1.SecurityProfile
Limits = v1.LinuxContainerResources
INFRA = "f" * 64


def container(
    engine: EngineFacts | None = None,
    context: v1.LinuxContainerSecurityContext | None = None,
    pod: v1.PodSandboxConfig | None = None,
    uid: int = 0,
    limits: Limits | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """The spec of a container in ``pod``."""
    config = v1.ContainerConfig(metadata=v1.ContainerMetadata(name="c"), image=v1.ImageSpec(image="busybox"), **fields)
    config.linux.CopyFrom(v1.LinuxContainerConfig(security_context=context, resources=limits))
    request = v1.CreateContainerRequest(pod_sandbox_id="a" * 64, config=config, sandbox_config=pod or sandbox())
    user = v1.LinuxContainerUser(uid=uid, gid=uid, supplemental_groups=[uid, 50])
    return container_config.container(
        "minicri_c",
        "b" * 64,
        request,
        v1.RunPodSandboxRequest(config=pod or sandbox()),
        engine or facts(),
        infra_id=INFRA,
        user=user,
        created_ns=7,
    )


def context(**fields: Any) -> v1.LinuxContainerSecurityContext:
    return v1.LinuxContainerSecurityContext(**fields)


def test_the_labels_bring_the_request_back_without_its_environment() -> None:
    made = container(envs=[v1.KeyValue(key="secret", value=b"x")], annotations={"a": "b"})
    assert made["env"] == {"secret": "x"}
    spec = labels.container_spec(made["labels"])
    assert (spec.config.annotations["a"], len(spec.config.envs)) == ("b", 0)


def test_an_environment_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="envs"):
        container(envs=[v1.KeyValue(key="k", value=b"\xff")])


def test_user_and_groups_are_numbers() -> None:
    made = container(uid=33)
    assert (made["user"], made["groups"]) == ("33:33", ["50"])


def test_what_is_not_said_is_not_sent() -> None:
    assert not {"entrypoint", "command", "terminal", "stop_signal", "cap_add", "mask"} & container().keys()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (v1.POD, {"nsmode": "container", "value": INFRA}),
        (v1.CONTAINER, {"nsmode": "private"}),
        (v1.NODE, {"nsmode": "host"}),
        (v1.TARGET, {"nsmode": "container", "value": "t"}),
    ],
)
def test_each_container_decides_about_its_processes(mode: v1.NamespaceMode, expected: dict[str, str]) -> None:
    options = v1.NamespaceOption(pid=mode, target_id="t" if mode == v1.TARGET else "")
    assert container(context=context(namespace_options=options))["pidns"] == expected


def test_the_sandbox_decides_about_ipc() -> None:
    of_host = sandbox(linux=linux(namespace_options=v1.NamespaceOption(ipc=v1.NODE)))
    assert container(pod=of_host)["ipcns"] == {"nsmode": "host"}
    with pytest.raises(InvalidArgument, match="ipc"):
        container(context=context(namespace_options=v1.NamespaceOption(ipc=v1.NODE)))


def test_a_container_cannot_have_other_users_than_its_sandbox() -> None:
    with pytest.raises(InvalidArgument, match="userns_options"):
        container(context=context(namespace_options=own_users()))


def test_privileged_overrules_profiles_and_needs_a_privileged_sandbox() -> None:
    wish = context(privileged=True, seccomp=Profile(profile_type=Profile.RuntimeDefault))
    with pytest.raises(InvalidArgument, match="privileged"):
        container(context=wish)
    made = container(context=wish, pod=sandbox(linux=linux(privileged=True)))
    assert (made["privileged"], made["seccomp_profile_path"]) == (True, "unconfined")


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (Profile(profile_type=Profile.RuntimeDefault), ""),
        (Profile(profile_type=Profile.Unconfined), "unconfined"),
        (Profile(profile_type=Profile.Localhost, localhost_ref="/p.json"), "/p.json"),
    ],
)
def test_seccomp_profiles_are_the_engines_files(profile: Profile, expected: str) -> None:
    assert security.seccomp_profile(profile) == expected


def test_an_apparmor_profile_needs_apparmor() -> None:
    profile = Profile(profile_type=Profile.Localhost, localhost_ref="mine")
    with pytest.raises(FailedPrecondition, match="AppArmor"):
        security.apparmor_profile(profile, facts().features)
    assert security.apparmor_profile(profile, facts(security={"apparmorEnabled": True}).features) == "mine"


def test_ambient_capabilities_are_an_ordinary_users_only() -> None:
    wish = v1.Capability(add_ambient_capabilities=["CAP_NET_RAW"])
    assert container(context=context(capabilities=wish), uid=1000)["cap_add"] == ["NET_RAW"]
    with pytest.raises(Unimplemented, match="ambient"):
        container(context=context(capabilities=wish))


def test_dropping_all_wins_over_adding_all() -> None:
    wish = v1.Capability(add_capabilities=["ALL", "CHOWN"], drop_capabilities=["ALL"])
    made = container(context=context(capabilities=wish))
    assert (made["cap_add"], made["cap_drop"]) == (["CHOWN"], ["ALL"])


def test_masked_paths_take_the_place_of_the_engines_own() -> None:
    made = container(context=context(masked_paths=["/proc/kcore", "/etc/secret"]))
    assert made["mask"] == ["/etc/secret"]
    assert "/proc/kcore" not in made["unmask"]
    assert "/proc/keys" in made["unmask"]
    assert "/proc/sys" not in made["unmask"]


def test_readonly_paths_take_the_place_of_the_engines_own() -> None:
    made = container(context=context(readonly_paths=["/proc/sys", "/var"]))
    assert "/proc/bus" in made["unmask"]
    assert "/proc/sys" not in made["unmask"]
    with pytest.raises(InvalidArgument, match="readonly_paths"):
        container(context=context(readonly_paths=["var"]))


def test_a_mount_is_bound_with_all_below_it() -> None:
    mount = v1.Mount(host_path="/h", container_path="/c", readonly=True, propagation=v1.PROPAGATION_HOST_TO_CONTAINER)
    assert container(mounts=[mount])["mounts"] == [
        {"type": "bind", "source": "/h", "destination": "/c", "options": ["rbind", "ro", "rslave"]}
    ]


def test_files_of_a_mount_follow_the_users_of_the_sandbox() -> None:
    users = own_users()
    pod = sandbox(linux=linux(namespace_options=users))
    mapping = users.userns_options.uids
    mount = v1.Mount(host_path="/h", container_path="/c", uidMappings=mapping, gidMappings=mapping)
    assert "idmap" in container(mounts=[mount], pod=pod)["mounts"][0]["options"]
    with pytest.raises(Unimplemented, match="maps users"):
        container(mounts=[mount])


def test_an_image_can_be_mounted_and_from_5_4_on_a_part_of_one() -> None:
    mount = v1.Mount(image=v1.ImageSpec(image="busybox"), container_path="/i", image_sub_path="etc", readonly=True)
    with pytest.raises(Unimplemented, match=r"5\.4"):
        container(mounts=[mount])
    (made,) = container(facts("5.4.0"), mounts=[mount])["image_volumes"]
    assert (made["Source"], made["subPath"]) == ("docker.io/library/busybox:latest", "etc")


def test_an_image_cannot_be_mounted_to_be_written() -> None:
    with pytest.raises(InvalidArgument, match="readonly"):
        container(mounts=[v1.Mount(image=v1.ImageSpec(image="busybox"), container_path="/i")])


def test_what_libpod_cannot_mount_is_refused_by_name() -> None:
    mount = v1.Mount(host_path="/h", container_path="/c", readonly=True, mount_options=["noexec"])
    with pytest.raises(Unimplemented, match="/c"):
        container(mounts=[mount])


def test_devices_go_by_path_and_by_name() -> None:
    made = container(
        devices=[v1.Device(host_path="/dev/fuse", permissions="r")], CDI_devices=[v1.CDIDevice(name="vendor.com/gpu=0")]
    )
    assert made["devices"] == [{"path": "/dev/fuse:/dev/fuse:r"}, {"path": "vendor.com/gpu=0"}]


def test_limits_go_to_the_engine_by_its_names() -> None:
    wanted = Limits(cpu_quota=5, cpu_period=10, memory_limit_in_bytes=4096, unified={"pids.max": "7"})
    wanted.hugepage_limits.add(page_size="2MB", limit=3)
    assert container(limits=wanted)["resource_limits"] == {
        "cpu": {"quota": 5, "period": 10},
        "memory": {"limit": 4096, "swap": resources.UNLIMITED_MEMORY},
        "pids": {"limit": 7},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 3}],
    }


def test_cgroup_files_need_cgroup_v2() -> None:
    wanted = Limits(unified={"memory.high": "1"})
    with pytest.raises(Unimplemented, match=r"memory\.high"):
        container(limits=wanted)
    v2 = facts(cgroupVersion="v2")
    assert container(v2, limits=wanted)["resource_limits"] == {"unified": {"memory.high": "1"}}


def test_a_rootless_engine_limits_nothing_on_cgroup_v1() -> None:
    rootless, wanted = {"rootless": True}, Limits(memory_limit_in_bytes=4096)
    with pytest.raises(Unimplemented, match="memory"):
        container(facts(security=rootless), limits=wanted)
    assert "resource_limits" not in container(facts(security=rootless))
    assert container(facts(security=rootless, cgroupVersion="v2"), limits=wanted)["resource_limits"]["memory"]


def test_no_swap_limit_reads_as_none() -> None:
    host = {"Memory": 4096, "MemorySwap": resources.UNLIMITED_MEMORY, "PidsLimit": 0}
    assert resources.status(host).linux.memory_swap_limit_in_bytes == -1


def test_no_process_is_made_more_important_than_the_engine_can() -> None:
    engine = facts(process=EngineProcess(oom_score_adj_floor=-500))
    assert container(engine, limits=Limits(oom_score_adj=-900))["oom_score_adj"] == -500


@pytest.mark.parametrize(
    ("signal", "number"), [(v1.SIGNAL_SIGTERM, 15), (v1.SIGNAL_SIGRTMINPLUS3, 37), (v1.SIGNAL_SIGRTMAXMINUS2, 62)]
)
def test_a_stop_signal_is_a_number_and_reads_back(signal: v1.Signal, number: int) -> None:
    assert container(stop_signal=signal)["stop_signal"] == number
    assert signals.cri_signal(number) == v1.Signal.Name(signal)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("SIGUSR1", "SIGNAL_SIGUSR1"),
        ("RTMIN+3", "SIGNAL_SIGRTMINPLUS3"),
        (None, "SIGNAL_RUNTIME_DEFAULT"),
        (99, "SIGNAL_RUNTIME_DEFAULT"),
    ],
)
def test_an_engine_from_5_on_says_signals_by_name(said: Any, expected: str) -> None:
    assert signals.cri_signal(said) == expected


def test_no_health_check_has_the_numbers_that_an_update_wants_and_no_interval_for_a_timer() -> None:
    check = container()["healthconfig"]
    assert check["Test"] == ["NONE"]
    assert check["Timeout"] >= 1_000_000_000
    assert check["Retries"] >= 1
    assert not check.get("Interval")
