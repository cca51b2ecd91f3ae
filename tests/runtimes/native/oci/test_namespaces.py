"""Which namespaces a container joins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci.sandbox_init import init_spec
from runtimes.shared import pause
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import PINNED, config, context, host, linux, own_users, sandbox, spec


def joined(
    options: v1.NamespaceOption, given: v1.NamespaceOption | None = None, *, v2: bool = False, **request: Any
) -> dict[str, str | None]:
    """The paths of the namespaces by kind: None is one of the container's own, and one that is missing the host's."""
    given = given or v1.NamespaceOption()
    pinned = {**PINNED, "pid": Path("/run/ns/s/pid"), "user": Path("/run/ns/s/user")}
    wanted = [name for name in ("net", "ipc", "uts", "pid") if getattr(given, name, v1.POD) == v1.POD]
    if given.HasField("userns_options"):
        wanted.append("user")
    pod = sandbox(linux(namespace_options=given), namespaces={name: pinned[name] for name in wanted})
    made = spec(config(context(namespace_options=options)), pod, facts=host(cgroup_v2=v2), **request)
    return {each["type"]: each.get("path") for each in made["linux"]["namespaces"]}


def test_a_container_joins_its_sandbox_and_has_mounts_of_its_own() -> None:
    assert joined(v1.NamespaceOption(pid=v1.CONTAINER)) == {
        "network": "/run/ns/s/net",
        "ipc": "/run/ns/s/ipc",
        "uts": "/run/ns/s/uts",
        "mount": None,
        "pid": None,
    }


@pytest.mark.parametrize(
    ("mode", "path"),
    [(v1.POD, "/run/ns/s/pid"), (v1.CONTAINER, None), (v1.TARGET, "/proc/7/ns/pid"), (v1.NODE, "the host's")],
)
def test_each_container_decides_about_its_processes(mode: v1.NamespaceMode, path: str | None) -> None:
    options = v1.NamespaceOption(pid=mode, target_id="t" if mode == v1.TARGET else "")
    assert joined(options, target_pid=7).get("pid", "the host's") == path


def test_a_container_of_a_sandbox_on_the_hosts_processes_sees_these() -> None:
    assert "pid" not in joined(v1.NamespaceOption(), v1.NamespaceOption(pid=v1.NODE))


def test_a_sandbox_without_processes_to_share_cannot_share_them() -> None:
    with pytest.raises(InvalidArgument, match="pid"):
        joined(v1.NamespaceOption(), v1.NamespaceOption(pid=v1.CONTAINER))


def test_the_hosts_network_is_the_sandboxs_choice() -> None:
    with pytest.raises(InvalidArgument, match="network"):
        joined(v1.NamespaceOption(network=v1.NODE))


def test_cgroups_of_its_own_are_seen_on_v2_only() -> None:
    own = v1.NamespaceOption(pid=v1.CONTAINER)
    assert "cgroup" in joined(own, v2=True)
    assert "cgroup" not in joined(own)


def test_users_are_joined_first_since_the_rest_is_theirs() -> None:
    made = joined(v1.NamespaceOption(pid=v1.CONTAINER), own_users())
    assert next(iter(made)) == "user"


def test_a_container_has_the_users_of_its_sandbox() -> None:
    with pytest.raises(InvalidArgument, match="userns_options"):
        joined(own_users(pid=v1.CONTAINER))


def test_the_init_of_a_sandbox_has_no_right() -> None:
    made = init_spec(sandbox(), "i" * 64, Path("/init"), host())
    assert made["process"]["capabilities"] == {}
    assert made["process"]["user"] == {"uid": 65535, "gid": 65535}
    assert made["root"] == {"path": "/init", "readonly": True}


def test_the_init_of_a_sandbox_with_few_users_is_its_root() -> None:
    pod = sandbox(linux(namespace_options=own_users(length=10)))
    assert init_spec(pod, "i" * 64, Path("/init"), host())["process"]["user"]["uid"] == 0


def test_containers_of_a_sandbox_share_the_processes_below_its_init(crun: Bench, tmp_path: Path) -> None:
    rootfs = tmp_path / "init"
    rootfs.mkdir()
    (rootfs / "pause").write_bytes(pause.program(crun.host.architecture))
    (rootfs / "pause").chmod(0o755)
    pod = crun.sandbox()
    with crun.started(init_spec(pod, f"{crun.id}-init", rootfs, crun.host), f"{crun.id}-init") as pid:
        shared = replace(pod, namespaces={**pod.namespaces, "pid": Path(f"/proc/{pid}/ns/pid")})
        script = "tr '\\0' ' ' < /proc/1/cmdline"
        both = config(context(namespace_options=v1.NamespaceOption()), command=["sh", "-c", script])
        assert crun.run(crun.spec(both, shared)).output == pause.PROGRAM
