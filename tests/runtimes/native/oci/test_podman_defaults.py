"""A container that asks for nothing may do no more here than under Podman, whose own config for it is the measure.

docs/native-security.md has the same comparison in words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cri.v1 import api_pb2 as v1
from runtimes.native.oci import host as this_host
from tests.host import podmans
from tests.host.images import BUSYBOX
from tests.host.podmans import PodmanEngine
from tests.runtimes.native.oci.examples import Profile, config, context, sandbox, spec

Config = dict[str, Any]
RESTRICTING = {"nosuid", "noexec", "nodev", "ro"}


@pytest.fixture(scope="module")
def podmans_own(podman_engine: PodmanEngine) -> Config:
    """What Podman hands to the runtime for a container with nothing but an image and a command."""
    if not podman_engine.private:
        pytest.skip("this test looks at the files of a Podman of its own")
    address = podman_engine.address
    made = podmans.call(address, "POST", "/containers/create", body={"image": BUSYBOX, "command": ["sleep", "1000"]})
    place = f"/containers/{made['Id']}"
    try:
        podmans.call(address, "POST", f"{place}/start")
        found: Config = json.loads(Path(podmans.call(address, "GET", f"{place}/json")["OCIConfigPath"]).read_text())
    finally:
        podmans.call(address, "DELETE", place, {"force": "true"})
    return found


def ours(*added: str) -> Config:
    """The same container of ours, with the host's own profile."""
    wanted = context(seccomp=Profile(), capabilities=v1.Capability(add_capabilities=added))
    return spec(config(wanted), sandbox(), facts=this_host.look(cgroup_driver="cgroupfs"))


def rules(filters: Config) -> set[tuple[str, str, int | None, str]]:
    """What a filter says of each call, however the rules are grouped."""
    return {
        (name, rule["action"], rule.get("errnoRet"), json.dumps(rule.get("args") or [], sort_keys=True))
        for rule in filters["syscalls"]
        for name in rule["names"]
    }


def restrictions(mounts: Iterable[Config]) -> dict[str, set[str]]:
    return {mount["destination"]: RESTRICTING & set(mount["options"]) for mount in mounts}


@pytest.mark.parametrize("kind", ["bounding", "effective", "permitted", "inheritable", "ambient"])
def test_no_capability_is_added(podmans_own: Config, kind: str) -> None:
    assert set(ours()["process"]["capabilities"][kind]) <= set(podmans_own["process"]["capabilities"].get(kind) or ())


def test_the_same_calls_are_filtered_for_the_same_capabilities(podmans_own: Config) -> None:
    theirs = podmans_own["linux"]["seccomp"]
    added = set(podmans_own["process"]["capabilities"]["bounding"]) - set(ours()["process"]["capabilities"]["bounding"])
    made = ours(*added)["linux"]["seccomp"]
    assert rules(made) == rules(theirs)
    for key in ("defaultAction", "defaultErrnoRet", "architectures"):
        assert made[key] == theirs[key]


def test_what_is_masked_and_read_only_there_is_so_here(podmans_own: Config) -> None:
    made = ours()["linux"]
    assert set(podmans_own["linux"]["maskedPaths"]) <= set(made["maskedPaths"])
    assert set(podmans_own["linux"]["readonlyPaths"]) <= {*made["readonlyPaths"], *made["maskedPaths"]}


def test_every_mount_is_restricted_as_much(podmans_own: Config) -> None:
    made = restrictions(ours()["mounts"])
    looser = {
        path: wanted - made[path]
        for path, wanted in restrictions(podmans_own["mounts"]).items()
        if path in made and not wanted <= made[path]
    }
    assert looser == {}


def test_no_file_of_the_host_is_mounted_that_is_not_there(podmans_own: Config) -> None:
    assert restrictions(ours()["mounts"]).keys() <= restrictions(podmans_own["mounts"]).keys()


def test_no_namespace_of_the_host_is_shared(podmans_own: Config) -> None:
    def kinds(made: Config) -> set[str]:
        return {namespace["type"] for namespace in made["linux"]["namespaces"]}

    assert kinds(podmans_own) <= kinds(ours())


def test_no_device_is_added_and_processes_are_counted(podmans_own: Config) -> None:
    made, theirs = ours()["linux"]["resources"], podmans_own["linux"]["resources"]
    assert made["devices"] == theirs["devices"]
    assert 0 < made["pids"]["limit"] <= theirs["pids"]["limit"]
