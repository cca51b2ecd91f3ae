"""The first process of a container: what it runs, as whom, and with which rights."""

from __future__ import annotations

import pytest

from cri.errors import FailedPrecondition, InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci import process
from runtimes.native.oci.capabilities import DEFAULT
from runtimes.native.oci.facts import ImageFacts
from runtimes.shared.accounts import Accounts
from runtimes.shared.engine_process import EngineProcess
from tests.runtimes.native.oci.examples import config, context, host, linux, sandbox, spec

SYS_RESOURCE, ALL_KNOWN = 24, (1 << 41) - 1
Sets = dict[str, list[str]]


def rights(wanted: v1.Capability | None = None, held: int = ALL_KNOWN, **security: object) -> Sets:
    """The capability sets, less CAP_, of a container made by a process that holds ``held``."""
    made = spec(
        config(context(capabilities=wanted, **security)),
        sandbox(linux(privileged=bool(security.get("privileged")))),
        facts=host(process=EngineProcess(capabilities=held)),
    )
    found: Sets = made["process"]["capabilities"]
    return {name: [each.removeprefix("CAP_") for each in names] for name, names in found.items()}


@pytest.mark.parametrize(
    ("command", "args", "runs"),
    [
        ([], [], ["entry", "cmd"]),
        ([], ["a"], ["entry", "a"]),
        (["c"], [], ["c"]),
        (["c"], ["a"], ["c", "a"]),
    ],
)
def test_a_command_takes_the_place_of_all_the_image_would_run(
    command: list[str], args: list[str], runs: list[str]
) -> None:
    image = ImageFacts(entrypoint=("entry",), cmd=("cmd",))
    assert process.command(v1.ContainerConfig(command=command, args=args), image) == runs


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="nothing to run"):
        spec(config(command=[]))


def test_a_nul_byte_in_an_argument_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="NUL"):
        spec(config(command=["true", "a\0b"]))


def test_variables_of_the_request_win_over_the_images() -> None:
    image = ImageFacts(env=("PATH=/image", "A=image", "B=image"))
    made = spec(config(envs=[v1.KeyValue(key="A", value=b"request")]), image=image)
    assert made["process"]["env"] == ["PATH=/image", "HOSTNAME=web", "A=request", "B=image"]


def test_a_variable_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="envs"):
        spec(config(envs=[v1.KeyValue(key="A", value=b"\xff")]))


@pytest.mark.parametrize(
    ("wanted", "of_image", "expected"),
    [
        ("", "", "/"),
        ("", "srv", "/srv"),
        ("/a//b/", "/srv", "/a/b"),
        ("", "/../../etc", "/etc"),
        ("/proc/../../x", "", "/x"),
    ],
)
def test_the_working_directory_never_climbs(wanted: str, of_image: str, expected: str) -> None:
    made = spec(config(working_dir=wanted), image=ImageFacts(working_dir=of_image))
    assert made["process"]["cwd"] == expected


def test_a_relative_working_directory_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="working_dir"):
        spec(config(working_dir="here"))


def test_user_and_groups_are_the_images_by_name() -> None:
    accounts = Accounts("app:x:7:8:::\n", "app:x:8:\nmore:x:9:app\n")
    image = ImageFacts(user="app", accounts=accounts)
    merged = spec(config(context(supplemental_groups=[5])), image=image)
    assert merged["process"]["user"] == {"uid": 7, "gid": 8, "umask": 0o22, "additionalGids": [8, 5, 9]}
    strict = spec(config(context(supplemental_groups=[5], supplemental_groups_policy=v1.Strict)), image=image)
    assert strict["process"]["user"]["additionalGids"] == [8, 5]


def test_a_container_has_few_capabilities_and_inherits_none() -> None:
    assert rights() == {
        "bounding": sorted(DEFAULT, key=rights()["bounding"].index),
        "effective": rights()["bounding"],
        "permitted": rights()["bounding"],
        "inheritable": [],
        "ambient": [],
    }


def test_capabilities_are_added_and_dropped_one_by_one() -> None:
    found = rights(v1.Capability(add_capabilities=["NET_ADMIN"], drop_capabilities=["cap_chown"]))["bounding"]
    assert "NET_ADMIN" in found
    assert "CHOWN" not in found


def test_dropping_all_wins_over_adding_all_and_loses_to_a_single_one() -> None:
    found = rights(v1.Capability(add_capabilities=["ALL", "KILL"], drop_capabilities=["ALL"]))
    assert found["effective"] == ["KILL"]


def test_ambient_capabilities_are_in_every_set() -> None:
    found = rights(v1.Capability(drop_capabilities=["ALL"], add_ambient_capabilities=["NET_RAW"]))
    assert set(map(tuple, found.values())) == {("NET_RAW",)}


def test_all_and_privileged_are_what_this_process_has() -> None:
    held = ALL_KNOWN & ~(1 << SYS_RESOURCE)
    every = rights(v1.Capability(add_capabilities=["ALL"]), held)["bounding"]
    assert "SYS_RESOURCE" not in every
    assert "SYS_ADMIN" in every
    assert rights(held=held, privileged=True)["effective"] == every


def test_a_capability_that_this_process_has_not_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="SYS_RESOURCE"):
        rights(v1.Capability(add_capabilities=["SYS_RESOURCE"]), ALL_KNOWN & ~(1 << SYS_RESOURCE))


def test_an_unknown_capability_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="FLY"):
        rights(v1.Capability(add_capabilities=["FLY"]))


def test_limits_are_no_higher_than_this_process_may_give() -> None:
    made = spec(facts=host(files_limit=20000, processes_limit=100))["process"]
    assert [(each["hard"], each["soft"]) for each in made["rlimits"]] == [(20000, 20000), (100, 100)]


def test_the_oom_score_is_no_lower_than_this_process_may_give() -> None:
    important = config(resources=v1.LinuxContainerResources(oom_score_adj=-999))
    made = spec(important, facts=host(process=EngineProcess(oom_score_adj_floor=-5)))
    assert made["process"]["oomScoreAdj"] == -5


def test_a_joining_command_has_the_rights_of_the_container_and_its_own_terminal() -> None:
    made = spec(config(context(no_new_privs=True)))
    joined = process.joined(made, ["ls", "-l"], tty=True)
    assert (joined["args"], joined["terminal"], joined["noNewPrivileges"]) == (["ls", "-l"], True, True)
    assert joined["capabilities"] == made["process"]["capabilities"]
    assert "TERM=xterm" in joined["env"]
    assert "TERM=xterm" not in made["process"]["env"]
