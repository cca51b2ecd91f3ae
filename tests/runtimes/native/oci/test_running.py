"""Containers' configs, run by a real OCI runtime."""

from __future__ import annotations

from typing import Any

from cri.v1 import api_pb2 as v1
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import Profile, config, context, linux


def printed(bench: Bench, script: str, **fields: Any) -> str:
    """What a shell in a container with these fields of its config prints."""
    sandbox = bench.sandbox()
    return bench.run(bench.spec(config(command=["sh", "-c", script], **fields), sandbox)).output


def test_a_container_runs_in_a_directory_that_the_image_has_not(either: Bench) -> None:
    assert printed(either, "pwd", working_dir="/new/place") == "/new/place"


def test_a_container_sees_the_files_of_its_sandbox(either: Bench) -> None:
    assert printed(either, "cat /etc/hosts /etc/resolv.conf") == "hosts of the sandbox\nresolv.conf of the sandbox"


def test_system_calls_are_filtered_by_the_hosts_profile(either: Bench) -> None:
    found = printed(either, "grep Seccomp: /proc/self/status", security=context(seccomp=Profile()))
    assert found.split() == ["Seccomp:", "2"]


def test_a_container_is_an_ordinary_user_with_its_groups(either: Bench) -> None:
    asked = context(run_as_username="user", supplemental_groups=[1234])
    assert printed(either, "id -u; id -g; id -G; echo $HOME", security=asked).split("\n") == [
        "1000",
        "1000",
        "1000 50 1234",
        "/home/user",
    ]


def test_capabilities_are_those_of_the_config(either: Bench) -> None:
    only = context(capabilities=v1.Capability(add_capabilities=["KILL"], drop_capabilities=["ALL"]))
    found = printed(either, "grep -E 'Cap(Eff|Bnd|Inh)' /proc/self/status", security=only)
    assert found.split()[1::2] == ["0" * 16, f"{1 << 5:016x}", f"{1 << 5:016x}"]


def test_an_ambient_capability_reaches_an_ordinary_user(either: Bench) -> None:
    ambient = v1.Capability(drop_capabilities=["ALL"], add_ambient_capabilities=["NET_BIND_SERVICE"])
    asked = context(run_as_user=v1.Int64Value(value=1000), capabilities=ambient)
    assert printed(either, "grep CapEff /proc/self/status", security=asked).split()[1] == f"{1 << 10:016x}"


def test_a_read_only_root_cannot_be_written(either: Bench) -> None:
    assert "Read-only" in printed(either, "touch /x", security=context(readonly_rootfs=True))


def test_privileged_is_without_bounds(either: Bench) -> None:
    script = "grep -E 'CapEff|Seccomp:' /proc/self/status; mount -t tmpfs none /tmp && echo mounted; ls /dev/kmsg"
    wanted = config(context(privileged=True), command=["sh", "-c", script])
    output = either.run(either.spec(wanted, either.sandbox(linux(privileged=True)))).output.split()
    assert int(output[1], 16) == either.host.process.capabilities
    assert output[2:] == ["Seccomp:", "0", "mounted", "/dev/kmsg"]


def test_limits_are_those_of_this_process_at_most(either: Bench) -> None:
    assert int(printed(either, "ulimit -Hn")) == min(1 << 20, either.host.files_limit)
