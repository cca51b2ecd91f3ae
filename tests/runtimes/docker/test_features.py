"""What is read from an engine's introduction; no engine is needed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cri.errors import FailedPrecondition
from cri.platforms import Platform
from runtimes.docker import features
from runtimes.docker.status import handlers
from runtimes.shared import engine_process
from tests.runtimes.docker.examples import VERSION_29, facts


def test_an_engine_older_than_20_10_is_refused_by_its_version() -> None:
    with pytest.raises(FailedPrecondition, match=r"19\.03.*1\.40.*1\.41"):
        features.negotiate({"Version": "19.03", "ApiVersion": "1.40"})


def test_a_newer_engine_is_spoken_to_in_the_newest_api_known() -> None:
    assert features.negotiate({"ApiVersion": "1.99"}) == "1.55"
    assert features.negotiate({"ApiVersion": "1.41"}) == "1.41"
    assert features.negotiate({"ApiVersion": "1.99", "MinAPIVersion": "1.60"}) == "1.60"
    assert features.negotiate({"ApiVersion": "1.55", "MinAPIVersion": "1.40"}) == "1.55"


def test_abilities_follow_the_api_version_and_the_kernel() -> None:
    assert not facts().features.recursive_read_only
    assert facts(VERSION_29).features.recursive_read_only
    assert not facts(VERSION_29, KernelVersion="5.10.0").features.recursive_read_only
    assert facts(VERSION_29).features.image_mounts
    assert (facts().features.cdi_devices, facts(VERSION_29).features.cdi_devices) == (False, True)


def test_the_platform_is_named_as_images_name_it() -> None:
    assert facts(Architecture="aarch64").platform == Platform("linux", "arm64")


def test_security_options_are_recognised() -> None:
    found = facts(SecurityOptions=["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"]).features
    assert (found.seccomp, found.rootless, found.apparmor) == (True, True, False)
    assert not found.selinux
    assert facts(SecurityOptions=["name=selinux"]).features.selinux


def test_handlers_are_the_default_and_every_runtime_of_the_engine() -> None:
    assert [handler.name for handler in handlers(facts())] == ["", "crun", "runc"]
    assert not any(handler.features.recursive_read_only_mounts for handler in handlers(facts()))
    assert all(handler.features.recursive_read_only_mounts for handler in handlers(facts(VERSION_29)))


def test_the_limits_of_the_listening_process_are_read(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        found = engine_process.look(str(path), rootless=False)
        rootless = engine_process.look(str(path), rootless=True)
    assert found.visible
    assert found.capabilities == int(status["CapEff"], 16)
    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert found.oom_score_adj_floor == (-1000 if found.may(24) else own)
    assert rootless.oom_score_adj_floor == own


def test_an_engine_out_of_sight_is_taken_to_be_allowed_everything(tmp_path: Path) -> None:
    assert engine_process.look(None, rootless=False) == engine_process.EngineProcess()
    assert engine_process.look(f"{tmp_path}/none", rootless=False) == engine_process.EngineProcess()
