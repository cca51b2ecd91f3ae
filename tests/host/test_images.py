"""The images that we make are images to those who read them."""

import contextlib
import io
import json
import tarfile
from collections.abc import Iterator

import docker
import docker.errors
import pytest

from tests.host.engines import DockerEngine
from tests.host.images import Image, digest, docker_archive, oci_archive
from tests.host.registry import PASSWORD, USER, Registry

NAME = "localhost/minicri/described:1"
DESCRIBED = Image(
    cmd=("-c", "id -u; pwd; cat /srv/greeting; echo $MOOD"),
    entrypoint=("/bin/sh",),
    env={"MOOD": "fine"},
    user="1000",
    workdir="/srv",
    labels={"org.example": "yes"},
    exposed_ports=("80/tcp",),
    stop_signal="SIGQUIT",
    files={"/srv/greeting": b"hello\n"},
)


@pytest.fixture
def client(docker_engine: DockerEngine) -> Iterator[docker.DockerClient]:
    with contextlib.closing(docker_engine.client()) as client:
        yield client


@pytest.fixture
def forget(client: docker.DockerClient) -> Iterator[list[str]]:
    """Names of images to remove at the end."""
    names: list[str] = []
    yield names
    for name in names:
        client.images.remove(name, force=True)


def test_the_same_description_gives_the_same_bytes() -> None:
    assert docker_archive(NAME, image=DESCRIBED) == docker_archive(NAME, image=DESCRIBED)
    assert oci_archive(NAME, DESCRIBED) == oci_archive(NAME, DESCRIBED)


def test_a_different_label_gives_a_different_id() -> None:
    assert Image(labels={"a": "1"}).id != Image(labels={"a": "2"}).id


def test_every_blob_of_an_oci_archive_has_the_digest_it_is_named_by() -> None:
    with tarfile.open(fileobj=io.BytesIO(oci_archive(NAME))) as tar:
        blobs = [member for member in tar.getmembers() if member.name.startswith("blobs/sha256/")]
        assert len(blobs) == 3
        for member in blobs:
            content = tar.extractfile(member)
            assert content is not None
            assert digest(content.read()) == "sha256:" + member.name.rpartition("/")[2]


def test_a_loaded_image_has_the_id_we_computed(client: docker.DockerClient, forget: list[str]) -> None:
    client.images.load(docker_archive(NAME, image=DESCRIBED))
    forget.append(NAME)
    assert client.images.get(NAME).id == DESCRIBED.id


def test_a_container_of_a_loaded_image_runs_as_described(client: docker.DockerClient, forget: list[str]) -> None:
    client.images.load(docker_archive(NAME, image=DESCRIBED))
    forget.append(NAME)
    output = client.containers.run(NAME, remove=True)
    assert output.decode().split() == ["1000", "/srv", "hello", "fine"]


def test_the_busybox_image_is_there_without_a_pull(client: docker.DockerClient, busybox_image: str) -> None:
    assert client.containers.run(busybox_image, ["echo", "here"], remove=True) == b"here\n"
    assert client.images.get("busybox").id == client.images.get(busybox_image).id


def test_an_image_pushed_to_the_registry_is_pulled_by_tag_and_by_digest(
    client: docker.DockerClient, local_registry: Registry, forget: list[str]
) -> None:
    pushed = local_registry.push("minicri/pushed", DESCRIBED, tag="2")
    by_tag = f"{local_registry.host}/minicri/pushed:2"
    by_digest = f"{local_registry.host}/minicri/pushed@{pushed}"
    forget += [by_digest, by_tag]
    assert client.images.pull(by_digest).id == DESCRIBED.id
    assert client.images.pull(by_tag).id == DESCRIBED.id


def test_an_index_gives_each_platform_its_own_image(
    client: docker.DockerClient, local_registry: Registry, forget: list[str]
) -> None:
    amd, arm = Image(architecture="amd64"), Image(architecture="arm64", variant="v8")
    local_registry.push("minicri/many", amd, arm)
    name = f"{local_registry.host}/minicri/many:latest"
    forget.append(name)
    assert client.images.pull(name, platform="linux/arm64/v8").id == arm.id
    assert client.images.pull(name, platform="linux/amd64").id == amd.id


def test_a_registry_with_a_login_serves_only_who_knows_it(
    client: docker.DockerClient, login_registry: Registry, forget: list[str]
) -> None:
    login_registry.push("minicri/secret")
    name = f"{login_registry.host}/minicri/secret:latest"
    with pytest.raises(docker.errors.APIError, match="no basic auth credentials"):
        client.images.pull(name)
    client.images.pull(name, auth_config={"username": USER, "password": PASSWORD})
    forget.append(name)


def test_a_configuration_says_only_what_was_asked() -> None:
    config = json.loads(Image().config())["config"]
    assert set(config) == {"Env", "Cmd"}
