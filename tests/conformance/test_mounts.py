"""What of the host, and of other images, a container sees."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cri.errors import CRIError, InvalidArgument, NotFound, Unimplemented
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, eventually, shell


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the host with a file in it."""
    (tmp_path / "hello").write_text("from the host\n")
    return tmp_path


def mount_tmpfs(place: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)


def bind(host: Path, **fields: object) -> v1.Mount:
    return v1.Mount(container_path="/mnt/host", host_path=str(host), **fields)  # type: ignore[arg-type]


@pytest.mark.needs("kernel")
async def test_a_folder_of_the_host_can_be_read_and_written(kit: Kit, sandbox: str, folder: Path) -> None:
    """Security context: mounts."""
    script = shell("cat /mnt/host/hello; echo from inside > /mnt/host/answer")
    assert await kit.output(sandbox, *script, mounts=[bind(folder)]) == "from the host\n"
    assert (folder / "answer").read_text() == "from inside\n"


@pytest.mark.needs("kernel")
async def test_a_file_of_the_host_can_be_mounted(kit: Kit, sandbox: str, folder: Path) -> None:
    """Security context: mounts: /etc/hosts and termination logs are files."""
    mount = v1.Mount(container_path="/etc/greeting", host_path=str(folder / "hello"), readonly=True)
    assert await kit.output(sandbox, "cat", "/etc/greeting", mounts=[mount]) == "from the host\n"


@pytest.mark.needs("kernel")
async def test_a_readonly_mount_cannot_be_written(kit: Kit, sandbox: str, folder: Path) -> None:
    """Security context: mounts."""
    script = shell("touch /mnt/host/new 2>/dev/null && echo written || echo refused")
    assert await kit.output(sandbox, *script, mounts=[bind(folder, readonly=True)]) == "refused\n"


@pytest.mark.needs("kernel")
async def test_containers_share_a_folder(kit: Kit, sandbox: str, folder: Path) -> None:
    """Security context: mounts: an emptyDir is a folder that the kubelet makes."""
    await kit.exited(await kit.run(sandbox, *shell("echo first > /mnt/host/said"), mounts=[bind(folder)]))
    assert await kit.output(sandbox, "cat", "/mnt/host/said", mounts=[bind(folder)]) == "first\n"


async def test_the_status_lists_the_mounts(kit: Kit, sandbox: str, folder: Path) -> None:
    """Security context: mounts come back in the status."""
    mount = bind(folder, readonly=True)
    (seen,) = (await kit.status(await kit.create(sandbox, mounts=[mount]))).mounts
    assert (seen.container_path, seen.host_path, seen.readonly) == ("/mnt/host", str(folder), True)


@pytest.mark.parametrize("path", ["", "relative/path"])
async def test_a_mount_needs_a_full_path_inside(kit: Kit, sandbox: str, folder: Path, path: str) -> None:
    """gRPC: codes are specific: INVALID_ARGUMENT."""
    with pytest.raises(InvalidArgument, match="container_path"):
        await kit.create(sandbox, mounts=[v1.Mount(container_path=path, host_path=str(folder))])


@pytest.fixture
def shared_folder(root: None, tmp_path: Path) -> Iterator[Path]:
    """A mount point of the host that tells its mounts to others."""
    place = tmp_path / "shared"
    place.mkdir()
    (place / "inner").mkdir()
    subprocess.run(["mount", "--bind", place, place], check=True)
    try:
        subprocess.run(["mount", "--make-shared", place], check=True)
        yield place
    finally:
        subprocess.run(["umount", "--recursive", place], check=True)


@pytest.mark.needs("kernel")
@pytest.mark.parametrize(
    ("propagation", "seen"),
    [(v1.PROPAGATION_PRIVATE, False), (v1.PROPAGATION_HOST_TO_CONTAINER, True)],
    ids=["private", "host-to-container"],
)
async def test_a_mount_of_the_host_arrives_inside_or_not(
    kit: Kit, sandbox: str, shared_folder: Path, propagation: v1.MountPropagation, seen: bool
) -> None:
    """Security context: mount propagation."""
    container_id = await kit.run(sandbox, mounts=[bind(shared_folder, propagation=propagation)])
    mount_tmpfs(shared_folder / "inner")
    (shared_folder / "inner" / "new").touch()
    assert ("new" in await kit.said(container_id, "ls", "/mnt/host/inner")) is seen
    await kit.remove(container_id)


@pytest.mark.needs("kernel")
async def test_a_mount_made_inside_arrives_at_the_host(kit: Kit, sandbox: str, shared_folder: Path) -> None:
    """Security context: mount propagation, both ways."""
    context = v1.LinuxContainerSecurityContext(
        capabilities=v1.Capability(add_capabilities=["SYS_ADMIN"]),
        seccomp=v1.SecurityProfile(profile_type=v1.SecurityProfile.Unconfined),
        apparmor=v1.SecurityProfile(profile_type=v1.SecurityProfile.Unconfined),
    )
    await kit.run(
        sandbox,
        *shell("mount -t tmpfs tmpfs /mnt/host/inner && touch /mnt/host/inner/new; sleep 86400"),
        mounts=[bind(shared_folder, propagation=v1.PROPAGATION_BIDIRECTIONAL)],
        linux=v1.LinuxContainerConfig(security_context=context),
    )

    async def look() -> bool:
        return (shared_folder / "inner" / "new").exists()

    await eventually(look, "the mount has arrived")


@pytest.mark.needs("kernel")
@pytest.mark.optional("recursive-read-only")
async def test_a_recursive_readonly_mount_covers_what_is_mounted_below(
    kit: Kit, sandbox: str, shared_folder: Path
) -> None:
    """Security context: recursive read-only mounts."""
    mount_tmpfs(shared_folder / "inner")
    script = shell("touch /mnt/host/inner/new 2>/dev/null && echo written || echo refused")
    mount = bind(shared_folder, readonly=True, recursive_read_only=True)
    assert await kit.output(sandbox, *script, mounts=[mount]) == "refused\n"


async def test_recursive_readonly_mounts_are_announced_when_they_are_possible(
    kit: Kit, sandbox: str, folder: Path
) -> None:
    """Security context: recursive read-only mounts (refused where impossible)."""
    handlers = (await kit.runtime.status(v1.StatusRequest())).runtime_handlers
    announced = next(each.features.recursive_read_only_mounts for each in handlers if not each.name)
    try:
        await kit.create(sandbox, mounts=[bind(folder, readonly=True, recursive_read_only=True)])
    except Unimplemented:
        assert not announced
    else:
        assert announced


async def test_a_recursive_readonly_mount_must_be_readonly(kit: Kit, sandbox: str, folder: Path) -> None:
    """Security context: recursive read-only mounts: CRI wants readonly with it."""
    with pytest.raises(InvalidArgument, match="recursive_read_only"):
        await kit.create(sandbox, mounts=[bind(folder, recursive_read_only=True)])


@pytest.mark.optional("image-mounts")
async def test_an_image_can_be_mounted(kit: Kit, sandbox: str) -> None:
    """Security context: image volumes."""
    mount = v1.Mount(container_path="/mnt/image", image=v1.ImageSpec(image=kit.image), readonly=True)
    assert "bin" in (await kit.output(sandbox, "ls", "/mnt/image", mounts=[mount])).split()


@pytest.mark.needs("kernel")
@pytest.mark.optional("image-parts")
async def test_a_part_of_an_image_can_be_mounted(kit: Kit, sandbox: str) -> None:
    """Security context: image volumes: image_sub_path."""
    spec = v1.ImageSpec(image=kit.image)
    mount = v1.Mount(container_path="/mnt/image", image=spec, image_sub_path="bin", readonly=True)
    assert "sh" in (await kit.output(sandbox, "ls", "/mnt/image", mounts=[mount])).split()


@pytest.mark.optional("image-parts")
@pytest.mark.parametrize("image", ["localhost/no/such:image", ""], ids=["image", "part"])
async def test_an_image_or_a_part_that_is_not_there_is_not_mounted(kit: Kit, sandbox: str, image: str) -> None:
    """Security context: image volumes; told when the container is made."""
    spec = v1.ImageSpec(image=image or kit.image)
    mount = v1.Mount(container_path="/mnt/image", image=spec, image_sub_path="no-such", readonly=True)
    with pytest.raises(CRIError) as caught:
        await kit.create(sandbox, mounts=[mount])
    if isinstance(caught.value, Unimplemented):
        raise caught.value
    assert isinstance(caught.value, InvalidArgument | NotFound)


@pytest.mark.needs("kernel")
@pytest.mark.optional("image-mounts")
async def test_a_mounted_image_cannot_be_written(kit: Kit, sandbox: str) -> None:
    """Security context: image volumes are read-only, and say which image they are of."""
    spec = v1.ImageSpec(image=kit.image)
    mount = v1.Mount(container_path="/mnt/image", image=spec, readonly=True)
    container_id = await kit.run(sandbox, mounts=[mount])
    script = "touch /mnt/image/new 2>/dev/null && echo written || echo refused"
    assert await kit.said(container_id, *shell(script)) == "refused\n"
    (seen,) = (await kit.status(container_id)).mounts
    assert seen.image.image_ref == (await kit.image_status(kit.image)).id


@pytest.mark.needs("kernel")
async def test_a_folder_that_the_host_lacks_is_made_or_refused(kit: Kit, sandbox: str, tmp_path: Path) -> None:
    """gRPC: codes are specific, never UNKNOWN. containerd makes the folder, Docker refuses."""
    missing = tmp_path / "missing"
    try:
        await kit.run(sandbox, mounts=[bind(missing)])
    except CRIError as error:
        assert str(missing) in str(error)  # noqa: PT017 - both are fine
    else:
        assert missing.is_dir()
