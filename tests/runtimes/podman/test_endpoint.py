"""Where the engine is looked for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cri.errors import InvalidArgument
from runtimes.podman import endpoint
from runtimes.podman.config import PodmanConfig

NOTHING = PodmanConfig()


def test_root_has_the_systems_engine_whatever_its_login_session_says() -> None:
    found = endpoint.find(NOTHING, {"XDG_RUNTIME_DIR": "/run/user/0"}, uid=0)
    assert found.address == "unix:///run/podman/podman.sock"


def test_everybody_else_has_an_engine_of_their_own() -> None:
    found = endpoint.find(NOTHING, {"XDG_RUNTIME_DIR": "/tmp/mine"}, uid=1000)
    assert found.address == "unix:///tmp/mine/podman/podman.sock"


def test_the_login_session_of_a_user_is_guessed_where_the_environment_is_silent() -> None:
    assert endpoint.find(NOTHING, {}, uid=1000).socket_path == "/run/user/1000/podman/podman.sock"


def test_the_environment_comes_before_the_usual_places() -> None:
    assert endpoint.find(NOTHING, {"CONTAINER_HOST": "unix:///x.sock"}, uid=0).socket_path == "/x.sock"


def test_the_configuration_comes_before_the_environment() -> None:
    found = endpoint.find(PodmanConfig(host="tcp://box:8080"), {"CONTAINER_HOST": "unix:///x.sock"})
    assert found.host_and_port == ("box", 8080)


def test_an_engine_behind_ssh_is_refused_with_the_way_to_reach_it() -> None:
    with pytest.raises(InvalidArgument, match="ssh -N -L"):
        endpoint.find(NOTHING, {"CONTAINER_HOST": "ssh://root@box/run/podman/podman.sock"})


@pytest.mark.parametrize("address", ["/run/podman.sock", "http://box:1", "tcp://box"])
def test_what_is_no_address_of_an_engine_is_refused(address: str) -> None:
    with pytest.raises(InvalidArgument, match="CONTAINER_HOST"):
        endpoint.find(NOTHING, {"CONTAINER_HOST": address})


def test_a_wrong_host_in_the_configuration_is_told_when_it_is_read() -> None:
    with pytest.raises(ValidationError, match="unix:///path"):
        PodmanConfig(host="/run/podman.sock")
