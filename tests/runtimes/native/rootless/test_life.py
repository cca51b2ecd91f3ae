"""The engine as an ordinary user runs it, on the kernel itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host import images
from tests.host.errors import Unavailable
from tests.host.ordinary_user import OrdinaryUser, ordinary_user


@pytest.fixture
def user(native_engine: dict[str, object]) -> Iterator[OrdinaryUser]:
    try:
        with ordinary_user() as made:
            yield made
    except Unavailable as error:
        pytest.skip(str(error))


def lives(user: OrdinaryUser, network: str) -> dict[str, Any]:
    archive = user.folder / "busybox.tar"
    archive.write_bytes(images.docker_archive(images.BUSYBOX))
    arguments = (str(archive), network, str(user.folder / "logs"))
    done = user.python("tests.runtimes.native.rootless.life", *arguments, timeout=120)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_an_ordinary_user_runs_containers_with_and_without_a_network_of_their_own(user: OrdinaryUser) -> None:
    for network in ("POD", "NODE"):
        seen = lives(user, network)
        assert bool(seen["ip"]) == (network == "POD")
        words = seen["exec"].split()
        assert words[:4] == ["0", "0", str(user.uid), "1"]  # root inside is the user
        if network == "POD":
            assert seen["ip"] in seen["served"]
            assert (seen["again"], seen["listens"]) == ("AlreadyExists", False)
        assert seen["limited"] == "Unimplemented"
        assert (seen["exit_code"], seen["left"]) == (3, 0)
        assert "stdout F hello" in seen["log"]
