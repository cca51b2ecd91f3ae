"""What is said where layers cannot be mounted over each other."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from cri.errors import FailedPrecondition
from runtimes.native import kernel
from runtimes.native.images import overlay


def refusing(number: int) -> Any:
    def mount(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return mount


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
def test_an_old_kernel_without_root_is_told_of_with_the_way_out(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(kernel, "mount", refusing(number))
    monkeypatch.setattr(kernel, "is_rootless", lambda: True)
    with pytest.raises(FailedPrecondition, match=r"lets no user mount overlayfs .* 5\.11 .* fuse-overlayfs"):
        overlay.mount_writable(["1"], Path("/upper"), Path("/work"), Path("/target"))


def test_a_kernel_without_overlayfs_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "mount", refusing(errno.ENODEV))
    with pytest.raises(FailedPrecondition, match="modprobe overlay"):
        overlay.mount_writable(["1"], Path("/upper"), Path("/work"), Path("/target"))
