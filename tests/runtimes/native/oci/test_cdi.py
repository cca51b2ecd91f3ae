"""Devices by name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import cdi
from runtimes.native.oci.facts import DeviceNode
from runtimes.native.oci.host_devices import found
from tests.runtimes.native.oci.bench import Bench
from tests.runtimes.native.oci.examples import config, mount, spec

NAME = "vendor.com/thing=a"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The directories of CDI files, empty."""
    made = tmp_path / "etc-cdi", tmp_path / "run-cdi"
    for place in made:
        place.mkdir()
    monkeypatch.setattr(cdi, "DIRECTORIES", made)
    return made


def described(own: dict[str, Any], common: dict[str, Any] | None = None, *more: str) -> dict[str, Any]:
    """A file for the device ``NAME``, and for more that need nothing."""
    devices = [{"name": "a", "containerEdits": own}, *({"name": name, "containerEdits": {}} for name in more)]
    return {"cdiVersion": "0.5.0", "kind": "vendor.com/thing", "containerEdits": common or {}, "devices": devices}


def test_a_device_brings_what_its_file_says(places: tuple[Path, Path]) -> None:
    own = {
        "env": ["THING=a"],
        "mounts": [{"hostPath": "/lib/thing", "containerPath": "/usr/lib/thing", "options": ["ro", "rbind"]}],
        "hooks": [{"hookName": "createContainer", "path": "/bin/hook", "args": ["hook"]}],
        "additionalGids": [44],
    }
    (places[0] / "thing.json").write_text(json.dumps(described(own, {"env": ["COMMON=1"]}, "b")))
    made = spec(brought=cdi.additions([NAME, "vendor.com/thing=b"], places))
    assert made["process"]["env"][-2:] == ["COMMON=1", "THING=a"]
    assert mount(made, "/usr/lib/thing")["source"] == "/lib/thing"
    assert made["hooks"] == {"createContainer": [{"path": "/bin/hook", "args": ["hook"]}]}
    assert 44 in made["process"]["user"]["additionalGids"]


def test_what_is_made_at_boot_wins_over_the_administrators(places: tuple[Path, Path]) -> None:
    for place, word in zip(places, ("old", "new"), strict=True):
        (place / "thing.yaml").write_text(yaml.safe_dump(described({"env": [f"THING={word}"]})))
    assert cdi.additions([NAME], places).env == ["THING=new"]


def test_two_files_for_one_device_are_refused(places: tuple[Path, Path]) -> None:
    for name in ("one.json", "two.json"):
        (places[0] / name).write_text(json.dumps(described({})))
    with pytest.raises(FailedPrecondition, match=r"one\.json.*two\.json"):
        cdi.additions([NAME], places)


def test_a_name_that_no_file_has_is_refused(places: tuple[Path, Path]) -> None:
    (places[0] / "thing.json").write_text(json.dumps(described({})))
    with pytest.raises(InvalidArgument, match=r"vendor\.com/thing=a"):
        cdi.additions(["vendor.com/thing=z"], places)


@pytest.mark.parametrize(
    "content",
    ["[", "[]", '{"devices": [1]}', json.dumps(described({"env": ["A"]})), json.dumps(described({"hooks": [{}]}))],
)
def test_a_file_that_is_none_is_named(places: tuple[Path, Path], content: str) -> None:
    (places[1] / "bad.json").write_text(content)
    with pytest.raises(FailedPrecondition, match=r"bad\.json"):
        cdi.additions([NAME], places)


def test_a_bad_file_harms_nobody_who_asks_for_no_device(places: tuple[Path, Path]) -> None:
    (places[1] / "bad.json").write_text("[")
    assert cdi.additions([], places) == cdi.Additions()


def test_a_node_is_the_hosts_but_for_what_the_file_says() -> None:
    plain = cdi.Node("/dev/null", "/dev/mine", "r", {"gid": 44})
    numbered = cdi.Node("/dev/nothing", "/dev/other", "rw", {"kind": "c", "major": 240, "minor": 7, "mode": 0o600})
    nodes = {node.path: node for node in found(v1.ContainerConfig(), [plain, numbered])}
    assert (nodes["/dev/mine"].major, nodes["/dev/mine"].minor) == (1, 3)
    assert (nodes["/dev/mine"].gid, nodes["/dev/mine"].access) == (44, "r")
    assert nodes["/dev/other"] == DeviceNode("/dev/other", "c", 240, 7, mode=0o600, access="rw")


def test_a_node_that_is_not_there_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="/dev/nothing"):
        list(found(v1.ContainerConfig(), [cdi.Node("/dev/nothing", "/dev/mine", "rw", {})]))


def test_a_device_by_name_is_in_the_container(crun: Bench, places: tuple[Path, Path], tmp_path: Path) -> None:
    os.mknod(tmp_path / "device", 0o20666, os.makedev(1, 5))
    own = {"deviceNodes": [{"path": "/dev/mine", "hostPath": str(tmp_path / "device")}], "env": ["THING=a"]}
    (places[0] / "thing.json").write_text(json.dumps(described(own)))
    wanted = config(
        command=["sh", "-c", "echo $THING; head -c 3 /dev/mine | wc -c"], CDI_devices=[v1.CDIDevice(name=NAME)]
    )
    assert crun.run(crun.spec(wanted, crun.sandbox())).output.split() == ["a", "3"]
