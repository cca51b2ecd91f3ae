"""Namespaces that live without a process: made by a thread that ends, held by bind mounts of their files."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from cri.errors import InvalidArgument
from runtimes.native import kernel
from runtimes.native.kernel import Namespace
from runtimes.native.network import user_namespaces
from runtimes.native.network.user_namespaces import UserMap

T = TypeVar("T")

SLIRP_DNS = "10.0.2.3"
"""Where slirp4netns answers for the host's resolver."""

_home: list[Path] = []

_OF_INTERFACE = ("conf", "neigh")
_OF_EVERY_NAMESPACE = ("all", "default", "lo")


async def create(
    kinds: Collection[str],
    directory: Path,
    *,
    hostname: str = "",
    sysctls: Mapping[str, str] | None = None,
    users: UserMap | None = None,
) -> dict[str, Path]:
    """New namespaces of ``kinds`` (net, ipc, uts, user), pinned in ``directory``, which is made; the file of each.

    With ``users`` they belong to a new user namespace; without, there can be none of the kind user.

    ``hostname`` is set in the new uts namespace, and ``sysctls`` (``net.core.somaxconn``) in the new network and ipc
    ones, except those of an interface: these come with it. Raises OSError, InvalidArgument for a sysctl that is
    refused, and leaves nothing then.
    """
    pinned = {kind: directory / kind for kind in kinds}
    early = {name: value for name, value in (sysctls or {}).items() if not is_of_interface(name)}
    try:
        if users is None:
            await in_own_thread(lambda: _create(pinned, directory, hostname, early))
        else:
            await in_own_thread(lambda: _create_with_users(pinned, directory, hostname, early, users))
    except BaseException:
        remove(directory)
        raise
    return pinned


def remove(directory: Path) -> None:
    """Let go of what ``create`` pinned; the kernel ends it when nothing else is in it. Safe to call twice."""
    try:
        pinned = list(directory.iterdir())
    except FileNotFoundError:
        return
    for each in pinned:
        try:
            kernel.unmount(each, kernel.MNT_DETACH | kernel.UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):  # not mounted (yet), or another was quicker
                raise
        each.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        directory.rmdir()


async def within(namespace: Path, work: Callable[[], T]) -> T:
    """``work()`` by a thread in the network namespace ``namespace``. Raises OSError, and what the work raises."""

    def run() -> T:
        with opened(namespace) as file:
            kernel.enter(file, Namespace.NET)
            return work()

    return await in_own_thread(run)


def live_in(namespace: Path) -> None:
    """Have this process's networks be in ``namespace`` from now on, not in the network that the process itself is in:
    without root that is the host's, which is not ours to change."""
    _home[:] = [namespace]


def is_at_home() -> bool:
    """Whether the networks are those of the process itself."""
    return not _home


async def in_own_thread(work: Callable[[], T]) -> T:
    """``work()`` by a thread that ends with it: whatever namespaces it went to, nobody else is taken along.

    A thread cannot be cancelled: it is waited for even when the caller is cancelled.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            for home in _home:
                with opened(home) as file:
                    kernel.enter(file, Namespace.NET)
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            loop.call_soon_threadsafe(done.set_exception, error)
        else:
            loop.call_soon_threadsafe(done.set_result, result)

    threading.Thread(target=run, name="native-network").start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        if not done.done():
            await asyncio.wait({done})
        if not done.cancelled():
            done.exception()  # it was looked at
        raise


def write_sysctls(sysctls: Mapping[str, str]) -> None:
    """In the namespaces of this thread. Raises InvalidArgument for one that the kernel refuses."""
    for name, value in sysctls.items():
        # An interface's own name may have a dot, which is written as a slash (see sandbox_rules.sysctl_name).
        path = Path("/proc/sys", *(part.replace("/", ".") for part in name.split(".")))
        try:
            path.write_text(value)
        except OSError as error:
            raise InvalidArgument(f"config.linux.sysctls: {name} = {value!r}: {error.strerror}") from error


def is_of_interface(sysctl: str) -> bool:
    """Whether the sysctl is one of an interface that a sandbox has only once it is attached."""
    parts = sysctl.split(".")
    return len(parts) > 3 and parts[0] == "net" and parts[2] in _OF_INTERFACE and parts[3] not in _OF_EVERY_NAMESPACE


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of a namespace's file."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _create(pinned: Mapping[str, Path], directory: Path, hostname: str, sysctls: Mapping[str, str]) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    kinds = Namespace(0)
    for kind in pinned:
        kinds |= Namespace[kind.upper()]
    kernel.unshare(kinds)
    _pin("thread-self", pinned)
    _settle(hostname, sysctls)


def _create_with_users(
    pinned: Mapping[str, Path], directory: Path, hostname: str, sysctls: Mapping[str, str], users: UserMap
) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with user_namespaces.holder(pinned, users) as pid:
        _pin(str(pid), pinned)
    for kind, path in pinned.items():
        if kind != "user":
            with opened(path) as file:
                kernel.enter(file, Namespace[kind.upper()])
    of_network = {name: value for name, value in sysctls.items() if name.startswith("net.")}
    _settle(hostname, of_network)
    if others := {name: value for name, value in sysctls.items() if name not in of_network}:
        # Those of an ipc namespace are its own root's, and nobody else's.
        kernel.become(users.root)
        write_sysctls(others)


def _pin(process: str, pinned: Mapping[str, Path]) -> None:
    for kind, path in pinned.items():
        path.touch(0o400)
        kernel.mount(f"/proc/{process}/ns/{kind}", path, flags=kernel.MS_BIND)


def _settle(hostname: str, sysctls: Mapping[str, str]) -> None:
    """In the namespaces of this thread."""
    if hostname:
        kernel.set_host_name(hostname)
    write_sysctls(sysctls)
