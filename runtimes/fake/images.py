"""Images: what the fake's registries offer and what has been pulled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cri import platforms, references
from cri.errors import InvalidArgument, PlatformMismatch
from cri.platforms import Platform
from cri.references import Reference
from cri.v1 import api_pb2 as v1
from runtimes.fake import signals
from runtimes.fake.files import Tree
from runtimes.fake.users import GROUP, PASSWD

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DIRECTORIES = ("/bin", "/dev", "/etc", "/home/user", "/proc", "/root", "/sys", "/tmp", "/usr/bin", "/var/www")  # noqa: S108
_SMALLEST = 1_000_000


class ImageSpec(BaseModel):
    """An image that a registry of the fake offers; also the form of the configuration's ``images``.

    Names that nobody declared can be pulled as well: such an image runs, whatever its command is called, a program
    that waits for SIGTERM. A declared image has only registered programs, unless ``any_program`` says otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """The reference by which it is pulled."""
    aliases: tuple[str, ...] = ()
    """More references to the same image."""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: dict[str, str] = {}
    user: str = ""
    workdir: str = "/"
    stop_signal: str = ""
    """Empty means SIGTERM."""
    files: dict[str, str] = {}
    """Text files of the root file system, by absolute path."""
    platforms: tuple[str, ...] = ()
    """What it exists for, ``os/arch[/variant]``; empty: for everything."""
    size: int = Field(default=0, ge=0)
    """Bytes; 0 for a size made up from the name."""
    any_program: bool = False

    @field_validator("name")
    @classmethod
    def _is_reference(cls, name: str) -> str:
        try:
            return str(references.parse(name, field="name"))
        except InvalidArgument as error:
            raise ValueError(error.message) from error

    @field_validator("stop_signal")
    @classmethod
    def _is_signal(cls, stop_signal: str) -> str:
        if stop_signal:
            signals.number(stop_signal)
        return stop_signal

    def offers(self, platform: Platform) -> bool:
        return not self.platforms or any(platform.runs(platforms.parse(each)) for each in self.platforms)


BUSYBOX = ImageSpec(
    name="busybox",
    aliases=("busybox:stable", "busybox:musl"),
    cmd=("sh",),
)
WELL_KNOWN: tuple[ImageSpec, ...] = (
    BUSYBOX,
    ImageSpec(name="alpine", cmd=("/bin/sh",)),
    ImageSpec(name="hello-world", cmd=("echo", "Hello from the fake runtime!")),
    ImageSpec(
        name="nginx",
        cmd=("httpd", "-f", "-p", "80", "-h", "/usr/share/nginx/html"),
        stop_signal="SIGQUIT",
        files={"/usr/share/nginx/html/index.html": "<h1>Welcome to the fake runtime's nginx!</h1>\n"},
    ),
)
"""What every fake knows without being told."""


def _sha256(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(eq=False, slots=True)
class Image:
    """A pulled image. ``id`` depends on what it is, not on the registry that it came from."""

    id: str
    spec: ImageSpec
    platform: Platform
    size: int
    tags: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)

    def root(self) -> Tree:
        """A fresh root file system."""
        tree = Tree.of({"/etc/passwd": PASSWD, "/etc/group": GROUP}, _DIRECTORIES)
        for path, text in self.spec.files.items():
            tree.write(path, text.encode())
        return tree

    def message(self) -> v1.Image:
        """CRI: the user is a number or a name, never both."""
        name = self.spec.user.partition(":")[0]
        image = v1.Image(id=self.id, repo_tags=self.tags, repo_digests=self.digests, size=self.size)
        image.spec.image = self.id
        if name.isdecimal():
            image.uid.value = int(name)
        elif name:
            image.username = name
        else:
            image.uid.value = 0
        return image


class Catalogue:
    """What can be pulled: the declared images, and any other name as an image that is made up."""

    def __init__(self, specs: Iterable[ImageSpec]) -> None:
        self._by_name: dict[str, ImageSpec] = {}
        self._by_digest: dict[str, ImageSpec] = {}
        for spec in (*WELL_KNOWN, *specs):
            self.declare(spec)

    def declare(self, spec: ImageSpec) -> None:
        """Offer ``spec`` under its name and aliases; the latest declaration of a name wins."""
        for name in (spec.name, *spec.aliases):
            self._by_name[str(references.parse(name))] = spec
        self._by_digest[_digest(spec)] = spec

    def resolve(self, reference: Reference, platform: Platform) -> tuple[Image, str]:
        """The image behind ``reference``, untagged, and its manifest's digest. Raises PlatformMismatch."""
        spec = self._spec(reference)
        if not spec.offers(platform):
            raise PlatformMismatch(
                f"image {reference} does not exist for {platform}; it exists for {', '.join(spec.platforms)}",
                details={"image": str(reference), "platform": str(platform)},
            )
        digest = reference.digest or _digest(spec)
        suffix = "" if platform == platforms.host() else f" for {platform}"
        size = spec.size or _SMALLEST + int(_sha256(spec.name)[-5:], 16)
        return Image(_sha256(f"config of {digest}{suffix}"), spec, platform, size), digest

    def _spec(self, reference: Reference) -> ImageSpec:
        if reference.digest:
            known = self._by_digest.get(reference.digest)
            return known or ImageSpec(name=str(reference), any_program=True)
        declared = self._by_name.get(str(reference))
        if declared is not None:
            return declared
        # A mirror of a declared image is that image: `127.0.0.1:5000/busybox` is busybox.
        for path in (reference.path, f"library/{reference.path}"):
            mirrored = self._by_name.get(str(Reference(references.DEFAULT_DOMAIN, path, reference.tag)))
            if mirrored is not None:
                return mirrored
        return ImageSpec(name=str(reference), any_program=True)


def _digest(spec: ImageSpec) -> str:
    """The manifest's digest: the same for the same contents, whichever registry has them."""
    reference = references.parse(spec.name)
    named = f"{reference.path.removeprefix('library/')}:{reference.tag}"
    return reference.digest or _sha256(f"manifest of {named} {spec.model_dump_json(exclude={'name', 'aliases'})}")


class ImageStore:
    """The pulled images, by id, tag and digest."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}
        self._names: dict[str, Image] = {}

    def all(self) -> list[Image]:
        return sorted(self._images.values(), key=lambda image: image.id)

    def add(self, image: Image, reference: Reference, digest: str) -> Image:
        """Keep ``image`` under ``reference``; a tag that another image had moves over."""
        image = self._images.setdefault(image.id, image)
        self._point(f"{reference.name}@{digest}", image, image.digests)
        if reference.tag:
            self._point(str(replace(reference, digest="")), image, image.tags)
        return image

    def _point(self, name: str, image: Image, names: list[str]) -> None:
        holder = self._names.get(name)
        if holder is image:
            return
        if holder is not None:
            holder.tags = [tag for tag in holder.tags if tag != name]
            holder.digests = [digest for digest in holder.digests if digest != name]
        self._names[name] = image
        names.append(name)
        names.sort()

    def find(self, text: str) -> Image | None:
        """By id (in full, with or without ``sha256:``, or a unique prefix of it), tag or digest."""
        if references.is_image_id(text):
            return self._images.get("sha256:" + text.removeprefix("sha256:"))
        try:
            reference = references.parse(text)
        except InvalidArgument:
            return None
        exact = replace(reference, tag="") if reference.digest else reference
        return self._names.get(str(exact)) or self._by_prefix(text)

    def _by_prefix(self, text: str) -> Image | None:
        bare = text.removeprefix("sha256:")
        if len(bare) < 6 or set(bare) - set("0123456789abcdef"):
            return None
        found = [image for identity, image in self._images.items() if identity.startswith("sha256:" + bare)]
        return found[0] if len(found) == 1 else None

    def remove(self, image: Image) -> None:
        """CRI: all its tags and digests go with it."""
        del self._images[image.id]
        for name in (*image.tags, *image.digests):
            del self._names[name]
