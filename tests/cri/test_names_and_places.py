"""Image references, platforms and network annotations: read once, the same everywhere, with errors that help."""

from ipaddress import IPv4Address, ip_network

import pytest

from cri import annotations, networks, platforms, references
from cri.errors import InvalidArgument
from cri.platforms import Platform

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest"),
        ("me/app", "docker.io/me/app:latest"),
        ("localhost/app:1", "localhost/app:1"),
        ("127.0.0.1:5000/a/b:x", "127.0.0.1:5000/a/b:x"),
        ("quay.io/a/b@" + DIGEST, "quay.io/a/b@" + DIGEST),
        ("busybox:1@" + DIGEST, "docker.io/library/busybox:1@" + DIGEST),
        ("[::1]:5000/a", "[::1]:5000/a:latest"),
    ],
)
def test_a_reference_is_normalised(text: str, normal: str) -> None:
    assert str(references.parse(text)) == normal


@pytest.mark.parametrize(
    "text", ["", "Busybox", "a//b", "busybox:", "busybox@sha256:12", "-x", "a b", "a/../b", "x:" + "t" * 129]
)
def test_a_bad_reference_is_named_in_the_error(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        references.parse(text, field="config.image.image")
    assert "config.image.image" in caught.value.message
    assert repr(text) in caught.value.message


def test_the_familiar_name_is_what_people_write() -> None:
    assert references.parse("busybox").familiar_name == "busybox"
    assert references.parse("quay.io/a/b").familiar_name == "quay.io/a/b"


def test_an_image_id_is_told_from_a_name() -> None:
    assert references.is_image_id(DIGEST)
    assert references.is_image_id(DIGEST.removeprefix("sha256:"))
    assert not references.is_image_id("busybox")


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("Linux/ARM64/v8", Platform("linux", "arm64")),
        ("linux/aarch64", Platform("linux", "arm64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("linux/armhf", Platform("linux", "arm", "v7")),
    ],
)
def test_a_platform_is_read_in_all_its_spellings(text: str, platform: Platform) -> None:
    assert platforms.parse(text) == platform


@pytest.mark.parametrize("text", ["", "linux", "linux/", "linux/z80", "a/b/c/d"])
def test_a_bad_platform_says_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"os/arch|known:"):
        platforms.parse(text)


def test_an_unsaid_variant_is_no_demand() -> None:
    assert platforms.parse("linux/arm").runs(platforms.parse("linux/arm/v6"))
    assert not platforms.parse("linux/arm/v7").runs(platforms.parse("linux/arm/v6"))


def test_the_most_specific_place_decides_the_platform() -> None:
    image, container = {annotations.PLATFORM: "linux/arm64"}, {annotations.PLATFORM: "linux/amd64"}
    assert platforms.wanted(image, container) == Platform("linux", "arm64")
    assert platforms.wanted({}, container) == Platform("linux", "amd64")
    assert platforms.wanted({}, {}) is None


def test_a_whole_network_request_is_read() -> None:
    request = networks.read(
        {
            annotations.NETWORK: "shop",
            annotations.NETWORK_SUBNETS: "10.77.0.0/24",
            annotations.NETWORK_ALIASES: "db, database",
            annotations.IPV4: "10.77.0.10",
            annotations.MAC_ADDRESS: "02:42:AC:11:00:10",
            annotations.EXTRA_HOSTS: "a.test=192.0.2.1,host=host-gateway",
        }
    )
    assert request == networks.NetworkRequest(
        network="shop",
        subnets=(ip_network("10.77.0.0/24"),),
        aliases=("db", "database"),
        ipv4=IPv4Address("10.77.0.10"),
        mac="02:42:ac:11:00:10",
        extra_hosts=(("a.test", "192.0.2.1"), ("host", "host-gateway")),
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (annotations.NETWORK, "../x"),
        (annotations.NETWORK_SUBNETS, "10.0.0.1/24"),
        (annotations.NETWORK_ALIASES, "a b"),
        (annotations.IPV4, "10.0.0"),
        (annotations.IPV6, "10.0.0.1"),
        (annotations.MAC_ADDRESS, "01:00:5e:00:00:01"),
        (annotations.EXTRA_HOSTS, "name"),
        (annotations.EXTRA_HOSTS, "name=nowhere"),
    ],
)
def test_a_bad_network_annotation_is_named_with_its_value(key: str, value: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        networks.read({annotations.NETWORK: "shop", key: value})
    assert key in caught.value.message
    assert value in caught.value.message


@pytest.mark.parametrize("key", [annotations.IPV4, annotations.NETWORK_ALIASES])
def test_an_address_or_alias_needs_a_named_network(key: str) -> None:
    with pytest.raises(InvalidArgument, match="needs a named network"):
        networks.read({key: "10.0.0.2"})


def test_a_static_address_must_be_inside_of_the_subnet() -> None:
    with pytest.raises(InvalidArgument, match="outside"):
        networks.read(
            {annotations.NETWORK: "n", annotations.NETWORK_SUBNETS: "10.1.0.0/24", annotations.IPV4: "10.2.0.1"}
        )
