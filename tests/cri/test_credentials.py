"""Registry credentials from the places where others write them down."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from cri import credentials
from cri.errors import FailedPrecondition


def auth(user: str) -> str:
    return b64encode(f"{user}:secret".encode()).decode()


def written(path: Path, **content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def found(image: str, home: Path, **environ: str) -> str:
    """The ``auth`` that is found, empty for none."""
    answer = credentials.find(image, {"HOME": str(home), **environ})
    return answer.auth if answer is not None else ""


def test_without_any_file_there_are_none(tmp_path: Path) -> None:
    assert credentials.find("registry.test/web", {"HOME": str(tmp_path)}) is None


def test_the_first_file_that_has_something_for_the_image_wins(tmp_path: Path) -> None:
    places = {
        "named": tmp_path / "named.json",
        "runtime": tmp_path / "run/containers/auth.json",
        "config": tmp_path / ".config/containers/auth.json",
        "docker": tmp_path / ".docker/config.json",
    }
    for name, path in places.items():
        written(path, auths={"registry.test": {"auth": auth(name)}})
    environ = {"REGISTRY_AUTH_FILE": str(places["named"]), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    for name, path in places.items():
        assert found("registry.test/web", tmp_path, **environ) == auth(name)
        written(path, auths={"other.test": {"auth": auth("other")}})
    assert found("registry.test/web", tmp_path, **environ) == ""


def test_the_key_that_says_most_of_the_repository_wins(tmp_path: Path) -> None:
    keys = ("registry.test", "registry.test/team", "registry.test/team/web")
    written(tmp_path / ".docker/config.json", auths={key: {"auth": auth(key)} for key in keys})
    assert found("registry.test/team/web:1", tmp_path) == auth("registry.test/team/web")
    assert found("registry.test/team/db", tmp_path) == auth("registry.test/team")
    assert found("registry.test/teams/db", tmp_path) == auth("registry.test")


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io"])
def test_docker_hub_is_known_under_all_its_names(key: str, tmp_path: Path) -> None:
    written(tmp_path / ".docker/config.json", auths={key: {"auth": auth("hub")}})
    assert found("busybox", tmp_path) == auth("hub")


@pytest.mark.parametrize(
    ("entry", "expected"), [("credHelpers", {"registry.test": "mine"}), ("credsStore", "mine")], ids=["one", "all"]
)
def test_a_credential_helper_is_asked(
    entry: str, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-mine"
    helper.write_text('#!/bin/sh\nread registry\necho "{\\"Username\\": \\"$1 $registry\\", \\"Secret\\": \\"s\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    written(tmp_path / ".docker/config.json", auths={"registry.test": {}}, **{entry: expected})
    answer = credentials.find("registry.test/web", {"HOME": str(tmp_path)})
    assert answer is not None
    assert (answer.username, answer.password) == ("get registry.test", "s")


def test_a_file_that_is_damaged_is_named_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / ".docker/config.json"
    path.parent.mkdir()
    path.write_text('{"auths": {"registry.test": {"auth": "c2VjcmV0"')
    with pytest.raises(FailedPrecondition) as caught:
        credentials.find("registry.test/web", {"HOME": str(tmp_path)})
    assert str(path) in caught.value.message
    assert "c2VjcmV0" not in caught.value.message


def test_a_helper_that_is_missing_is_named(tmp_path: Path) -> None:
    written(tmp_path / ".docker/config.json", credHelpers={"registry.test": "no-such-helper"})
    with pytest.raises(FailedPrecondition, match="docker-credential-no-such-helper gives no credentials"):
        credentials.find("registry.test/web", {"HOME": str(tmp_path)})


def test_a_helper_is_a_name_and_no_path(tmp_path: Path) -> None:
    written(tmp_path / ".docker/config.json", credHelpers={"registry.test": "../evil"})
    with pytest.raises(FailedPrecondition, match="no name of a credential helper"):
        credentials.find("registry.test/web", {"HOME": str(tmp_path)})
