"""Namespaces that belong to users of their own. They are made in a user namespace, which takes a process: a thread
cannot leave the users of its own process. It lives until the namespaces are pinned."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1

_OPTIONS = {"net": "--net", "ipc": "--ipc", "uts": "--uts", "user": "--user"}
_ECHO = b"\n"

Ids = tuple[tuple[int, int, int], ...]
"""First number inside, first number of the host, and how many."""


@dataclass(frozen=True, slots=True)
class UserMap:
    """Who the users and groups of a sandbox are on the host."""

    uids: Ids
    gids: Ids

    @property
    def root(self) -> int:
        """Who the sandbox's root is on the host. Raises FailedPrecondition where it is nobody."""
        for inside, host, count in self.uids:
            if inside <= 0 < inside + count:
                return host - inside
        raise FailedPrecondition("the sandbox's users have no root, who could set what is asked for")

    @classmethod
    def of(cls, options: v1.UserNamespace) -> UserMap:
        return cls(_ids(options.uids), _ids(options.gids))


@contextmanager
def holder(kinds: Collection[str], users: UserMap) -> Iterator[int]:
    """A process in new namespaces of ``kinds``, which belong to a user namespace with these users; its pid. Blocks.

    Raises FailedPrecondition where the kernel does not allow it.
    """
    command = ["unshare", *(_OPTIONS[kind] for kind in sorted({*kinds, "user"})), "--", "cat"]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
    except FileNotFoundError as error:
        raise FailedPrecondition("user namespaces need unshare(1): install the package util-linux") from error
    with process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            # Its answer says that it is through with unshare and has become what only echoes.
            process.stdin.write(_ECHO)
            process.stdin.flush()
            if process.stdout.read(1) != _ECHO:
                words = process.stderr.read().decode(errors="replace").strip()
                raise FailedPrecondition(f"this host gives no user namespace: {words}")
            for name, ids in (("uid_map", users.uids), ("gid_map", users.gids)):
                _write_map(process.pid, name, ids)
            yield process.pid
        finally:
            process.kill()


def _write_map(pid: int, name: str, ids: Ids) -> None:
    text = "".join(f"{inside} {host} {count}\n" for inside, host, count in ids)
    try:
        Path(f"/proc/{pid}/{name}").write_text(text)
    except OSError as error:
        raise FailedPrecondition(
            f"config.linux.security_context.namespace_options.userns_options: the kernel refuses the {name} "
            f"{text.strip()!r}: {error.strerror}"
        ) from error


def _ids(mappings: Iterable[v1.IDMapping]) -> Ids:
    return tuple((each.container_id, each.host_id, each.length) for each in mappings)
