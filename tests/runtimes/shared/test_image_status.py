"""How the engine's images and CRI's agree on names, users and credentials; no engine is needed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cri.annotations import PLATFORM
from cri.errors import InvalidArgument
from cri.platforms import Platform
from cri.v1 import api_pb2 as v1
from runtimes.shared import image_status, pause, registry_auth
from runtimes.shared.image_status import ImageFacts

ID = "sha256:" + "ab" * 32
DIGEST = "sha256:" + "cd" * 32
AMD64 = Platform("linux", "amd64")


def image(user: str = "", **found: Any) -> v1.Image:
    return image_status.image({"Id": ID, "Size": 7, **found}, ImageFacts(user, AMD64))


def test_names_are_normalised_and_missing_ones_dropped() -> None:
    found = image(
        RepoTags=["busybox:latest", "<none>:<none>", "127.0.0.1:5000/a:1"],
        RepoDigests=[f"busybox@{DIGEST}", "<none>@<none>"],
    )
    assert list(found.repo_tags) == ["docker.io/library/busybox:latest", "127.0.0.1:5000/a:1"]
    assert list(found.repo_digests) == [f"docker.io/library/busybox@{DIGEST}"]


def test_a_reference_by_digest_is_no_tag_and_a_digest_alone_no_reference() -> None:
    found = image(RepoTags=["busybox:1", f"busybox@{DIGEST}"], RepoDigests=[f"busybox@{DIGEST}", DIGEST])
    assert list(found.repo_tags) == ["docker.io/library/busybox:1"]
    assert list(found.repo_digests) == [f"docker.io/library/busybox@{DIGEST}"]


def test_an_image_without_names_is_still_an_image() -> None:
    assert image(RepoTags=None, RepoDigests=None).id == ID


@pytest.mark.parametrize(
    ("user", "uid", "username"),
    [("1002", 1002, ""), ("1002:50", 1002, ""), ("www-data", None, "www-data"), ("a:b", None, "a"), ("", None, "")],
)
def test_an_image_has_a_uid_or_a_username(user: str, uid: int | None, username: str) -> None:
    found = image(user)
    assert (found.uid.value if found.HasField("uid") else None, found.username) == (uid, username)


def test_only_the_pause_image_is_pinned() -> None:
    assert image(RepoTags=[pause.NAME]).pinned
    assert not image(RepoTags=["busybox:latest"]).pinned


def test_an_image_tells_its_platform() -> None:
    facts = image_status.facts({"Os": "linux", "Architecture": "arm", "Variant": "v7", "Config": None})
    assert facts.platform == Platform("linux", "arm", "v7")
    assert image().spec.annotations[PLATFORM] == "linux/amd64"


def test_an_architecture_that_nobody_heard_of_is_no_reason_to_fail() -> None:
    assert image_status.facts({"Os": "linux", "Architecture": "z80"}).platform == Platform("linux", "z80")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (ID, ID),
        ("abcdef123456", "abcdef123456"),
    ],
)
def test_the_engine_is_asked_for_whole_names_and_for_ids_as_they_are(text: str, expected: str) -> None:
    assert image_status.engine_name(text) == expected


def test_credentials_may_come_as_one_base64_word() -> None:
    word = base64.b64encode(b"me:pass:word").decode()
    assert registry_auth.from_cri(v1.AuthConfig(auth=word)) == {"username": "me", "password": "pass:word"}


def test_tokens_and_the_address_are_passed_on() -> None:
    auth = v1.AuthConfig(identity_token="i", registry_token="r", server_address="a")
    assert registry_auth.from_cri(auth) == {"identitytoken": "i", "registrytoken": "r", "serveraddress": "a"}


def test_an_address_alone_is_no_credential() -> None:
    assert registry_auth.from_cri(v1.AuthConfig(server_address="a")) == {}


@pytest.mark.parametrize("word", ["%%%", base64.b64encode(b"no colon").decode(), base64.b64encode(b"\xff").decode()])
def test_a_damaged_credential_is_refused_without_being_shown(word: str) -> None:
    with pytest.raises(InvalidArgument, match=r"auth\.auth") as raised:
        registry_auth.from_cri(v1.AuthConfig(auth=word))
    assert word not in raised.value.message


def test_a_verbose_status_has_the_configuration_in_ocis_words() -> None:
    config = {"Cmd": ["sh"], "Env": ["A=b"], "Hostname": "made-by-docker", "Volumes": None}
    inspected = {"Id": ID, "Os": "linux", "Architecture": "amd64", "Config": config, "RootFS": {"Layers": [DIGEST]}}
    assert json.loads(image_status.verbose(inspected, "docker")["info"]) == {
        "imageSpec": {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Cmd": ["sh"], "Env": ["A=b"]},
            "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
        }
    }
