"""The entries of a layer's tar, checked so far as that needs no look at the disk. Pure but for reading the stream."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Literal, cast

from runtimes.native import kernel
from runtimes.native.images.failures import BadImage
from runtimes.native.images.streams import PIECE, Pouring

Kind = Literal["file", "directory", "symlink", "hardlink", "character", "block", "fifo", "whiteout", "opaque"]

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
"""What else begins so is aufs's own bookkeeping."""

_KINDS: Mapping[bytes, Kind] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "character",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
XATTR = "SCHILY.xattr."
"""What the extended header of an extended attribute begins with."""
_LARGEST_ID = 0xFFFFFFFE
_LARGEST_TIME = 1 << 33
"""Seconds; ext4's times end before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``path`` has neither a leading slash nor ``.`` or ``..`` in it; empty is the root itself.

    A whiteout's path is what it hides, an opaque one's the directory that it empties.
    """

    kind: Kind
    path: str
    target: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    device: tuple[int, int] = (0, 0)
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    content: Iterable[bytes] = ()
    """A file's, to be read before the next entry is asked for. May raise BadImage."""


def entries(stream: Pouring) -> Iterator[Entry]:
    """All entries, in order. Raises BadImage for a tar that is damaged or that only an attacker writes."""
    # tarfile's own checks are for its extract(); nothing here is extracted by it.
    try:
        stream.expect_header()
        tar = tarfile.TarFile(fileobj=cast(IO[bytes], stream), encoding="utf-8", errors="surrogateescape")
        end = 0
        while True:
            stream.expect_header()
            member = tar.next()
            stream.expect_content()
            if member is None:
                break
            vars(tar)["members"] = []  # tarfile would keep all
            if tar.offset <= end or member.size < 0:
                raise BadImage(f"the layer's entry {member.name!r} ends before it begins")
            end = tar.offset
            entry = _entry(tar, member)
            if entry is not None:
                yield entry
    except (tarfile.TarError, RecursionError, ValueError, OverflowError, EOFError) as error:
        raise BadImage(f"the layer is no sound tar: {error}") from error
    if stream.last_block and (len(stream.last_block) < tarfile.BLOCKSIZE or any(stream.last_block)):
        raise BadImage(f"the layer is damaged or cut off at byte {tar.offset}")


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry | None:
    path = clean(member.name)
    kind = _KINDS.get(member.type)
    if kind is None:
        raise BadImage(f"the layer's entry {member.name!r} is of the unknown type {member.type!r}")
    above, _, name = path.rpartition("/")
    if name == _OPAQUE:
        return Entry("opaque", above)
    if name.startswith(_AUFS):
        return None
    if name.startswith(_WHITEOUT):
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in ("", ".", ".."):
            raise BadImage(f"the layer's entry {member.name!r} hides nothing that can be")
        return Entry("whiteout", f"{above}/{hidden}" if above else hidden)
    if not path and kind != "directory":
        raise BadImage(f"the layer's entry {member.name!r} makes the root a {kind}")
    device = _device(member) if kind in ("character", "block") else (0, 0)
    if kind == "character" and device == (0, 0):
        return Entry("whiteout", path)  # as overlayfs itself writes it
    return Entry(
        kind,
        path,
        target=_target(kind, member),
        mode=member.mode & 0o7777,
        uid=_id(member.name, member.uid),
        gid=_id(member.name, member.gid),
        mtime_ns=_nanoseconds(member),
        device=device,
        xattrs=_xattrs(member.pax_headers),
        content=_content(tar, member) if kind == "file" else (),
    )


def clean(path: str) -> str:
    """``./a//b/`` -> ``a/b``. Raises BadImage for ``..``."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if "\0" in path:
        raise BadImage(f"the layer's entry {path!r} has a name that no file can have")
    if ".." in parts:
        raise BadImage(f"the layer's entry {path!r} leads out of the image")
    return "/".join(parts)


def _target(kind: Kind, member: tarfile.TarInfo) -> str:
    if kind == "symlink":
        if not member.linkname or "\0" in member.linkname:
            raise BadImage(f"the layer's link {member.name!r} leads nowhere")
        return member.linkname  # goes nowhere until somebody follows it, and then from the root of the container
    return clean(member.linkname) if kind == "hardlink" else ""


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    try:
        file = tar.extractfile(member)
        while file and (piece := file.read(PIECE)):
            yield piece
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise BadImage(f"the layer's entry {member.name!r} is cut off: {error}") from error


def _device(member: tarfile.TarInfo) -> tuple[int, int]:
    major, minor = member.devmajor or 0, member.devminor or 0
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise BadImage(f"the layer's entry {member.name!r} is the device {major}:{minor}, which no device is")
    return major, minor


def _id(name: str, number: int) -> int:
    if not 0 <= number <= _LARGEST_ID:
        raise BadImage(f"the layer's entry {name!r} belongs to {number}, which no user or group is")
    return number


def _nanoseconds(member: tarfile.TarInfo) -> int:
    if not -_LARGEST_TIME < member.mtime < _LARGEST_TIME:  # false for "not a number", too
        raise BadImage(f"the layer's entry {member.name!r} is of the impossible time {member.mtime}")
    return int(member.mtime * 1_000_000_000)


def _xattrs(headers: Mapping[str, str]) -> Mapping[str, bytes]:
    return {
        key.removeprefix(XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in headers.items()
        if key.startswith(XATTR) and may_be_set(key.removeprefix(XATTR))
    }


def may_be_set(name: str) -> bool:
    """Whether a layer may bring the extended attribute: not what steers overlayfs, nor what policies go by."""
    if name.startswith(("trusted.overlay.", "user.overlay.")):
        return False
    if name.startswith("trusted.") and kernel.is_rootless():
        return False
    return name == "security.capability" or name.startswith(("user.", "trusted.", "system.posix_acl_"))
