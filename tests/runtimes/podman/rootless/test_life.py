"""A Podman of an ordinary user, as that user meets it: found where Podman's own client looks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.host import images
from tests.host.errors import Unavailable
from tests.host.ordinary_user import OrdinaryUser, ordinary_user


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    if shutil.which("podman") is None:
        pytest.skip("no podman on this host: install the package podman")
    try:
        with ordinary_user() as made:
            yield made
    except Unavailable as error:
        pytest.skip(str(error))


def test_an_ordinary_user_runs_containers_on_a_podman_of_their_own(user: OrdinaryUser) -> None:
    archive = user.folder / "busybox.tar"
    archive.write_bytes(images.docker_archive(images.BUSYBOX))
    done = user.python("tests.runtimes.podman.rootless.life", str(archive), str(user.folder / "logs"), timeout=180)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["runtime"] == "podman"
    assert seen["ready"] == {"RuntimeReady": True, "NetworkReady": True}
    assert seen["ip"]
    assert seen["exec"].split()[:4] == ["0", "0", str(user.uid), "1"]  # root inside is the user
    assert (seen["exit_code"], seen["left"]) == (3, [])
    assert "stdout F hello" in seen["log"]
