"""What an ordinary user's engine is told, and what it may give to containers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition, NotFound, Unavailable, Unimplemented
from cri.v1 import api_pb2 as v1
from runtimes.native.config import NativeConfig, NetworkSettings
from runtimes.native.oci import cgroup, resources, users
from runtimes.native.oci.facts import HostFacts
from runtimes.native.rootless import answers, connection, settings, subordinate

WITHOUT_ROOT = HostFacts(cgroup_driver="none", rootless=True)


def test_a_user_has_places_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/home/me/data")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    found = settings.at_home(NativeConfig())
    assert (found.root, found.run) == (Path("/home/me/data/minicri/native"), tmp_path / "minicri/native")


def test_places_that_were_named_stay() -> None:
    found = settings.at_home(NativeConfig(root=Path("/a"), run=Path("/b")))
    assert (found.root, found.run, found.cgroup_driver) == (Path("/a"), Path("/b"), "none")


def test_cni_takes_root() -> None:
    with pytest.raises(FailedPrecondition, match="cni_config_dir"):
        settings.at_home(NativeConfig(network=NetworkSettings(cni_config_dir="/etc/cni/net.d")))


def test_ranges_are_found_by_name_and_by_number() -> None:
    lines = ["other:1:2", "me:100000:65536", "1000:300000:10", "# nothing", "me:5:0"]
    assert subordinate.parse(lines, {"me", "1000"}) == [(100000, 65536), (300000, 10)]


def test_root_is_the_user_and_the_others_follow() -> None:
    found = subordinate.mapping(1000, [(100000, 5), (300000, 7)])
    assert " ".join(found) == "0 1000 1 1 100000 5 6 300000 7"


def test_limits_are_refused_where_there_are_no_cgroups() -> None:
    with pytest.raises(Unimplemented, match="as root"):
        resources.limits(v1.LinuxContainerResources(memory_limit_in_bytes=1 << 20), WITHOUT_ROOT)


def test_a_container_without_limits_needs_no_cgroup() -> None:
    limits = resources.limits(v1.LinuxContainerResources(oom_score_adj=10), WITHOUT_ROOT)
    assert cgroup.places("", "c1", limits, WITHOUT_ROOT) == {}


def test_there_are_no_users_to_give_away() -> None:
    wanted = v1.NamespaceOption(userns_options=v1.UserNamespace(mode=v1.POD))
    with pytest.raises(Unimplemented, match="userns_options"):
        users.check_sandbox(wanted, WITHOUT_ROOT)


def test_an_error_from_inside_is_the_same_outside(capsys: pytest.CaptureFixture[str]) -> None:
    answers.fail(NotFound("no such file"))
    with pytest.raises(NotFound, match="no such file"):
        answers.take(capsys.readouterr().out, "")


def test_a_program_without_an_answer_has_its_last_words_told() -> None:
    with pytest.raises(Unavailable, match="out of memory"):
        answers.take("", "out of memory")


def test_nobody_is_alone_while_somebody_is_connected(tmp_path: Path) -> None:
    client = connection.hold(tmp_path)
    assert connection.is_alone(tmp_path) is None
    os.close(client)
    server = connection.is_alone(tmp_path)
    assert server is not None
    os.close(server)
