"""Which numbers a user becomes; no engine is needed."""

from __future__ import annotations

import pytest

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.shared.accounts import Accounts, asked_user, resolve

IMAGE = Accounts(
    passwd="root:x:0:0::/root:/bin/sh\n# a remark\nweb:x:33:330::/srv:/bin/sh\nbroken\n7:x:900:900::/:/bin/sh\n",
    group="root:x:0:\nweb:x:330:\nstaff:x:50:web,other\ntape:x:26:other\n",
)


def numbers(user: str, *groups: int, strict: bool = False) -> tuple[int, int, list[int]]:
    found = resolve(user, IMAGE, groups, strict=strict)
    return found.uid, found.gid, list(found.supplemental_groups)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, 0, [0])),
        ("web", (33, 330, [330, 50])),
        ("33", (33, 330, [330, 50])),
        ("web:staff", (33, 50, [50])),
        ("web:1234", (33, 1234, [1234, 50])),
        ("4711", (4711, 0, [0])),
        ("4711:50", (4711, 50, [50])),
        ("7", (900, 900, [900])),
    ],
)
def test_a_user_gets_the_numbers_and_groups_of_its_account(user: str, expected: tuple[int, int, list[int]]) -> None:
    assert numbers(user) == expected


def test_merge_adds_the_groups_of_the_image_to_those_asked_for() -> None:
    assert numbers("web", 9, 50) == (33, 330, [330, 9, 50])


def test_strict_leaves_the_groups_of_the_image_out() -> None:
    assert numbers("web", 9, strict=True) == (33, 330, [330, 9])


def test_an_image_without_accounts_still_has_numbers() -> None:
    assert resolve("12:34", Accounts(), [], strict=False) == v1.LinuxContainerUser(
        uid=12, gid=34, supplemental_groups=[34]
    )


@pytest.mark.parametrize("user", ["nobody", "web:nogroup"])
def test_a_name_that_the_image_does_not_know_is_refused(user: str) -> None:
    with pytest.raises(InvalidArgument, match=r"no (user 'nobody'|group 'nogroup')"):
        numbers(user)


def test_the_context_overrules_the_user_of_the_image() -> None:
    context = v1.LinuxContainerSecurityContext
    assert asked_user(context(), "web:staff") == "web:staff"
    assert asked_user(context(run_as_user=v1.Int64Value(value=0)), "web") == "0"
    assert asked_user(context(run_as_username="web", run_as_group=v1.Int64Value(value=0)), "root") == "web:0"
