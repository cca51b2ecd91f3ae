"""Who a process runs as: names resolved by the image's own ``/etc/passwd`` and ``/etc/group``. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cri.v1 import api_pb2 as v1
from runtimes.shared import accounts

PASSWD = (
    b"root:x:0:0:root:/root:/bin/sh\n"
    b"daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
    b"www-data:x:33:33:www-data:/var/www:/bin/false\n"
    b"user:x:1000:1000:user:/home/user:/bin/sh\n"
    b"nobody:x:65534:65534:nobody:/home:/bin/false\n"
)
GROUP = b"root:x:0:\ndaemon:x:1:\nwww-data:x:33:\nstaff:x:50:user\nuser:x:1000:\nnogroup:x:65534:\n"
"""The accounts of every image that brings no others."""


@dataclass(frozen=True, slots=True)
class User:
    """Numbers and, where the image knows one, the name. ``groups``: the primary one, then the supplemental ones."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    name: str = "root"
    home: str = "/root"


class Accounts:
    """The accounts of one image."""

    def __init__(self, passwd: bytes, group: bytes) -> None:
        self._text = accounts.Accounts(passwd.decode(errors="replace"), group.decode(errors="replace"))
        self._users = [line for line in _lines(self._text.passwd) if len(line) >= 6]
        self._groups = [line for line in _lines(self._text.group) if len(line) >= 4]

    def group_name(self, gid: int) -> str:
        return next((line[0] for line in self._groups if line[2] == str(gid)), "")

    def user_name(self, uid: int) -> str:
        return next((line[0] for line in self._users if line[2] == str(uid)), "")

    def resolve(self, image_user: str, security: v1.LinuxContainerSecurityContext) -> User:
        """The user of a container: the security context before the image's ``USER`` (``name[:group]``, numbers too).

        Raises InvalidArgument for a name that the image does not have.
        """
        asked = accounts.asked_user(security, image_user)
        strict = security.supplemental_groups_policy == v1.Strict
        found = accounts.resolve(asked, self._text, security.supplemental_groups, strict=strict)
        home = next((line[5] for line in self._users if line[2] == str(found.uid)), "/")
        return User(found.uid, found.gid, tuple(found.supplemental_groups), self.user_name(found.uid), home)


def _lines(text: str) -> Iterable[list[str]]:
    return (line.split(":") for line in text.splitlines() if line and line[0] != "#")
