"""Images for an operating system, an architecture and a variant: the annotation ``minicri.io/platform``."""

from __future__ import annotations

import json

import pytest

from cri import platforms
from cri.annotations import PLATFORM
from cri.errors import InvalidArgument, NotFound, PlatformMismatch
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit
from tests.conformance.registry import Image, Registry

HOST = str(platforms.host())
OWN = {"of": "the platform tests"}
"""Without it the first is the suite's own image, and goes when a test removes it."""

AMD, ARM, ARM7 = (
    Image(architecture="amd64", labels=OWN),
    Image(architecture="arm64", variant="v8", labels=OWN),
    Image(architecture="arm", variant="v7", labels=OWN),
)
FOREIGN = "linux/s390x"


async def assert_is_there(kit: Kit, reference: str, image_id: str, image: Image, platform: str = HOST) -> None:
    """That ``image_id`` is ``image``: by its config's digest, or else by what the status says of its platform, where
    one id stands for the image of all platforms."""
    status = await kit.image_status(reference, platform)
    assert status.id == image_id
    if image_id != image.id:
        shown = platforms.parse(status.spec.annotations[PLATFORM])
        assert shown == platforms.parse("/".join(["linux", *image.platform().values()]))


@pytest.fixture
def index(local_registry: Registry, kit: Kit) -> str:
    """An image that exists for three platforms."""
    name = kit.fresh("conformance/many")
    local_registry.push(name, AMD, ARM, ARM7)
    return f"{local_registry.host}/{name}:latest"


@pytest.mark.needs("registry")
@pytest.mark.parametrize(
    ("platform", "image"),
    [("linux/amd64", AMD), ("linux/arm64", ARM), ("linux/arm64/v8", ARM), ("linux/arm/v7", ARM7)],
    ids=["amd64", "arm64", "arm64-v8", "arm-v7"],
)
async def test_a_pull_takes_the_platform_that_was_asked_for(kit: Kit, index: str, platform: str, image: Image) -> None:
    """Annotations: minicri.io/platform on the ImageSpec."""
    await assert_is_there(kit, index, await kit.pull(index, platform=platform), image, platform)


@pytest.mark.needs("registry")
async def test_a_pull_takes_the_hosts_platform_when_none_is_said(kit: Kit, index: str) -> None:
    """Annotations: minicri.io/platform is optional."""
    native = {"linux/amd64": AMD, "linux/arm64": ARM}.get(HOST)
    if native is None:
        pytest.skip(f"the index has nothing for {HOST}")
    await assert_is_there(kit, index, await kit.pull(index), native)


@pytest.mark.needs("registry")
async def test_a_pull_for_a_platform_that_the_image_lacks_is_not_found(kit: Kit, index: str) -> None:
    """gRPC: codes are specific: NOT_FOUND, and the error says why."""
    with pytest.raises(NotFound, match=r"s390x|manifest"):
        await kit.pull(index, platform=FOREIGN)


@pytest.mark.needs("registry")
async def test_the_sandboxs_platform_counts_for_a_pull(kit: Kit, index: str) -> None:
    """Annotations: minicri.io/platform: on a sandbox, container or ImageSpec."""
    config = kit.sandbox_config(annotations={PLATFORM: "linux/arm64"})
    request = v1.PullImageRequest(image=v1.ImageSpec(image=index), sandbox_config=config)
    kit.on_end(lambda: kit.remove_image(index))
    answer = await kit.runtime.pull_image(request)
    await assert_is_there(kit, index, answer.image_ref, ARM, "linux/arm64")


@pytest.mark.needs("registry")
async def test_the_image_specs_platform_goes_over_the_sandboxs(kit: Kit, index: str) -> None:
    """Annotations: minicri.io/platform: the most specific place wins."""
    config = kit.sandbox_config(annotations={PLATFORM: "linux/arm64"})
    spec = v1.ImageSpec(image=index, annotations={PLATFORM: "linux/amd64"})
    kit.on_end(lambda: kit.remove_image(index))
    answer = await kit.runtime.pull_image(v1.PullImageRequest(image=spec, sandbox_config=config))
    await assert_is_there(kit, index, answer.image_ref, AMD, "linux/amd64")


async def test_a_container_of_the_hosts_platform_runs(kit: Kit, sandbox: str) -> None:
    """Annotations: minicri.io/platform: what is asked for and there is taken."""
    spec = v1.ImageSpec(image=kit.image, annotations={PLATFORM: HOST})
    assert await kit.output(sandbox, "echo", "runs", image=spec) == "runs\n"


@pytest.mark.needs("registry")
async def test_a_container_of_another_platform_than_the_images_is_refused(
    kit: Kit, sandbox: str, local_registry: Registry
) -> None:
    """Annotations: minicri.io/platform: a value that cannot be honoured is an error, never dropped."""
    spec = v1.ImageSpec(image=kit.image, annotations={PLATFORM: FOREIGN})
    with pytest.raises(PlatformMismatch, match="s390x"):
        await kit.create(sandbox, image=spec)


@pytest.mark.needs("registry")
@pytest.mark.parametrize("said_on", ["container", "sandbox"])
async def test_the_platform_of_container_and_sandbox_count_for_the_container(kit: Kit, said_on: str) -> None:
    """Annotations: minicri.io/platform: on a sandbox, container or ImageSpec."""
    said = {PLATFORM: FOREIGN}
    sandbox_id = await kit.sandbox(annotations=said if said_on == "sandbox" else {})
    with pytest.raises(PlatformMismatch, match="s390x"):
        await kit.create(sandbox_id, annotations=said if said_on == "container" else {})


@pytest.mark.parametrize("wrong", ["linux", "linux/amd46", "a/b/c/d", "linux/"])
async def test_a_platform_that_is_none_is_refused(kit: Kit, wrong: str) -> None:
    """gRPC: codes are specific: INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgument, match=r"minicri\.io/platform"):
        await kit.sandbox(annotations={PLATFORM: wrong})


async def test_a_verbose_status_has_the_configuration_of_the_image(kit: Kit, runtime: Runtime) -> None:
    """Ids and lists: in OCI's words, below `info`, where tools find it with containerd and CRI-O."""
    asked = v1.ImageStatusRequest(image=v1.ImageSpec(image=kit.image), verbose=True)
    spec = json.loads((await runtime.image_status(asked)).info["info"])["imageSpec"]
    assert platforms.parse(f"{spec['os']}/{spec['architecture']}") == platforms.host()
    assert spec["config"]["Cmd"] == ["sh"]
