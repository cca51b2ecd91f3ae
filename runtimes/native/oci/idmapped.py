"""Mounts whose files belong to a sandbox's users, however the host numbers them.

Made on the host, beside the container, which then binds them like any other path: OCI runtimes differ in what they can
do of it, the kernel does not.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1
from runtimes.native import kernel
from runtimes.native.oci import users
from runtimes.native.oci.facts import HostFacts, SandboxFacts

_ATTRIBUTES = {
    "nosuid": kernel.MOUNT_ATTR_NOSUID,
    "nodev": kernel.MOUNT_ATTR_NODEV,
    "noexec": 0x08,
    "nosymfollow": 0x200000,
}
"""MOUNT_ATTR_… of the options that keep a container from something."""


def prepare(mounts: Iterable[v1.Mount], sandbox: SandboxFacts, host: HostFacts, staging: Path) -> dict[str, Path]:
    """Mount what has to follow the sandbox's users in the directory ``staging``, which is made when there is such a
    mount: where, by path in the container. ``release`` undoes it; the container needs it until its own mounts are made.
    Raises FailedPrecondition, Unimplemented.

    So are mounts with options of a sandbox that has users of its own: crun forgets those of a bind there.
    """
    options = sandbox.config.linux.security_context.namespace_options
    own = users.has_own(options)
    found: dict[str, Path] = {}
    try:
        for index, mount in enumerate(mounts):
            attributes = sum(_ATTRIBUTES.get(option, 0) for option in set(mount.mount_options)) if own else 0
            if users.follows(mount, options, host):
                attributes |= kernel.MOUNT_ATTR_IDMAP
            if attributes and not mount.image.image:
                staging.mkdir(mode=0o711, parents=True, exist_ok=True)
                found[mount.container_path] = staging / str(index)
                _bind(mount, found[mount.container_path], attributes, sandbox.namespaces["user"])
    except BaseException:
        release(staging)
        raise
    return found


def release(staging: Path) -> None:
    """Nothing of ``prepare`` is left. What was never there is fine, too."""
    if not staging.is_dir():
        return
    for path in staging.iterdir():
        _unmount(path)
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    staging.rmdir()


def _bind(mount: v1.Mount, target: Path, attributes: int, user_namespace: Path) -> None:
    # Opened once: what is looked at is what gets mounted.
    source = os.open(mount.host_path, os.O_PATH | os.O_CLOEXEC)
    namespace = tree = -1
    try:
        if stat.S_ISDIR(os.fstat(source).st_mode):
            target.mkdir(mode=0o700)
        else:
            target.touch(mode=0o600)
        namespace = os.open(user_namespace, os.O_RDONLY | os.O_CLOEXEC)
        tree = kernel.clone_tree(source, recursive=True)
        kernel.change_tree(tree, attributes, user_namespace=namespace)
        kernel.attach_tree(tree, target)
    except OSError as error:
        raise FailedPrecondition(
            f"config.mounts: {mount.host_path!r} cannot be mounted for the sandbox's users, which its file system "
            f"has to support: {error.strerror}"
        ) from error
    finally:
        for descriptor in (source, namespace, tree):
            if descriptor >= 0:
                os.close(descriptor)


def _unmount(path: Path) -> None:
    try:
        kernel.unmount(path, kernel.UMOUNT_NOFOLLOW | kernel.MNT_DETACH)
    except OSError as error:
        if error.errno != errno.EINVAL:  # nothing is mounted there
            raise
