"""A directory as the tar of a layer."""

from __future__ import annotations

import os
import tarfile
import threading
from pathlib import Path

from cri.errors import Cancelled
from runtimes.native.images import blob_files
from runtimes.native.images.blob_files import BlobFile
from runtimes.native.images.entries import XATTR, may_be_set
from runtimes.native.images.failures import BadImage, translated


def packed(directory: Path, target: Path, stop: threading.Event) -> BlobFile:
    """What is in ``directory`` as a tar at ``target``; the same files give the same bytes. Raises BadImage for a file
    that changes meanwhile."""

    def adorned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        if stop.is_set():
            raise Cancelled("the work on the image was given up")
        member.uname = member.gname = ""
        if member.isreg() or member.isdir():
            path = directory / member.name
            extended = dict(member.pax_headers)
            for name in filter(may_be_set, sorted(os.listxattr(path, follow_symlinks=False))):
                value = os.getxattr(path, name, follow_symlinks=False)
                extended[f"{XATTR}{name}"] = value.decode("utf-8", "surrogateescape")
            member.pax_headers = extended
        return member

    try:
        with translated(f"{directory} cannot be packed"):
            with tarfile.open(target, "x", format=tarfile.PAX_FORMAT) as tar:
                tar.add(directory, ".", filter=adorned)
            return blob_files.measured(target, stop)
    except tarfile.TarError as error:
        raise BadImage(f"{directory} cannot be packed: {error}") from error
