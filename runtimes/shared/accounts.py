"""Which user and groups a process gets, from what was asked for and the accounts of its image. Pure.

Engines decide this themselves at the start, but each a little differently, and none can leave the image's groups out
(``SupplementalGroupsPolicy.Strict``). Numbers worked out beforehand leave an engine nothing to decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1


@dataclass(frozen=True, slots=True)
class Accounts:
    """The text of an image's /etc/passwd and /etc/group; empty where it has none."""

    passwd: str = ""
    group: str = ""


def asked_user(context: v1.LinuxContainerSecurityContext, image_user: str) -> str:
    """``name-or-uid[:group-or-gid]`` as the context wants it, else the image's own."""
    name = context.run_as_username or (str(context.run_as_user.value) if context.HasField("run_as_user") else "")
    if not name:
        return image_user
    return f"{name}:{context.run_as_group.value}" if context.HasField("run_as_group") else name


def resolve(user: str, accounts: Accounts, supplemental: Iterable[int], *, strict: bool) -> v1.LinuxContainerUser:
    """The numbers for ``user``, which is ``name-or-uid[:group-or-gid]`` or empty for root.

    A uid that the image does not know has the group 0. The groups begin with the primary one; those of the image
    that list the user come last, unless ``strict``. Raises InvalidArgument for a name that the image does not know.
    """
    wanted, _, wanted_group = user.partition(":")
    name, uid, gid = _account(wanted or "0", accounts)
    if wanted_group:
        gid = _group(wanted_group, accounts)
    of_image = [] if strict else [number for _, number, members in _groups(accounts) if name in members]
    groups = list(dict.fromkeys([gid, *supplemental, *of_image]))
    return v1.LinuxContainerUser(uid=uid, gid=gid, supplemental_groups=groups)


def _account(wanted: str, accounts: Accounts) -> tuple[str, int, int]:
    """Name, uid and gid. A name wins over another account whose uid is spelled alike."""
    rows = [row for row in _rows(accounts.passwd, 4) if row[2].isdecimal() and row[3].isdecimal()]
    row = next((row for row in rows if row[0] == wanted), None) or next((row for row in rows if row[2] == wanted), None)
    if row:
        return row[0], int(row[2]), int(row[3])
    if not wanted.isdecimal():
        raise InvalidArgument(f"the image has no user {wanted!r} in /etc/passwd")
    return "", int(wanted), 0


def _group(wanted: str, accounts: Accounts) -> int:
    for name, gid, _ in _groups(accounts):
        if name == wanted:
            return gid
    if not wanted.isdecimal():
        raise InvalidArgument(f"the image has no group {wanted!r} in /etc/group")
    return int(wanted)


def _groups(accounts: Accounts) -> Iterator[tuple[str, int, list[str]]]:
    for row in _rows(accounts.group, 4):
        if row[2].isdecimal():
            yield row[0], int(row[2]), [member for member in row[3].split(",") if member]


@lru_cache(maxsize=8)
def _rows(text: str, columns: int) -> Sequence[Sequence[str]]:
    """Kept, as each container of an image has its user worked out several times."""
    split = (line.strip().split(":") for line in text.splitlines() if not line.startswith("#"))
    return [row for row in split if len(row) >= columns]
