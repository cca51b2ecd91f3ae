"""Who a container runs as."""

from __future__ import annotations

import pytest

from cri.errors import CRIError, InvalidArgument
from cri.v1 import api_pb2 as v1
from tests.conformance.kit import Kit, number, shell, with_context


async def test_a_container_runs_as_the_user_by_number(kit: Kit, sandbox: str) -> None:
    """Security context: run_as_user."""
    assert await kit.output(sandbox, "id", "-u", linux=with_context(run_as_user=number(1000))) == "1000\n"


async def test_a_container_runs_as_a_user_that_the_image_does_not_know(kit: Kit, sandbox: str) -> None:
    """Security context: run_as_user: a number needs no account."""
    assert await kit.output(sandbox, "id", "-u", linux=with_context(run_as_user=number(4711))) == "4711\n"


async def test_a_container_runs_as_root_when_that_is_asked_for(kit: Kit, sandbox: str) -> None:
    """Security context: run_as_user 0 is a wish, not an absent value."""
    assert await kit.output(sandbox, "id", "-u", linux=with_context(run_as_user=number(0))) == "0\n"


async def test_a_container_runs_as_the_user_by_name(kit: Kit, sandbox: str) -> None:
    """Security context: username."""
    printed = await kit.output(sandbox, *shell("id -u; id -g"), linux=with_context(run_as_username="user"))
    assert printed == "1000\n1000\n"


async def test_a_container_runs_in_the_group(kit: Kit, sandbox: str) -> None:
    """Security context: group."""
    linux = with_context(run_as_user=number(1000), run_as_group=number(2000))
    assert await kit.output(sandbox, *shell("id -u; id -g"), linux=linux) == "1000\n2000\n"


async def test_a_group_without_user_is_refused(kit: Kit, sandbox: str) -> None:
    """Security context: group without user is an error."""
    with pytest.raises(InvalidArgument, match="run_as_group"):
        await kit.create(sandbox, linux=with_context(run_as_group=number(2000)))


async def test_a_user_by_number_and_by_name_is_refused(kit: Kit, sandbox: str) -> None:
    """Security context: run_as_user / username: one of them."""
    with pytest.raises(InvalidArgument, match="run_as_user"):
        await kit.create(sandbox, linux=with_context(run_as_user=number(1000), run_as_username="user"))


async def test_supplemental_groups_are_added(kit: Kit, sandbox: str) -> None:
    """Security context: supplemental groups."""
    linux = with_context(run_as_user=number(1000), supplemental_groups=[3001, 3002])
    groups = {int(each) for each in (await kit.output(sandbox, "id", "-G", linux=linux)).split()}
    assert {3001, 3002} <= groups


async def test_groups_of_the_image_are_merged(kit: Kit, sandbox: str) -> None:
    """Security context: supplemental groups with Merge policy: those of /etc/group too."""
    linux = with_context(run_as_user=number(1000), supplemental_groups=[3001], supplemental_groups_policy=v1.Merge)
    groups = {int(each) for each in (await kit.output(sandbox, "id", "-G", linux=linux)).split()}
    assert groups == {1000, 50, 3001}


@pytest.mark.optional("strict-groups")
async def test_groups_of_the_image_are_left_out_when_that_is_asked_for(kit: Kit, sandbox: str) -> None:
    """Security context: supplemental groups with Strict policy: those that were named and no others."""
    linux = with_context(run_as_user=number(1000), supplemental_groups=[3001], supplemental_groups_policy=v1.Strict)
    groups = {int(each) for each in (await kit.output(sandbox, "id", "-G", linux=linux)).split()}
    assert groups == {1000, 3001}


async def test_the_status_announces_the_strict_policy_when_it_is_kept(kit: Kit, sandbox: str) -> None:
    """Security context: supplemental groups with Strict policy; what is announced can be relied on."""
    announced = (await kit.runtime.status(v1.StatusRequest())).features.supplemental_groups_policy
    linux = with_context(run_as_user=number(1000), supplemental_groups_policy=v1.Strict)
    try:
        await kit.create(sandbox, linux=linux)
    except CRIError:
        assert not announced
    else:
        assert announced


async def test_the_status_says_the_user(kit: Kit, sandbox: str) -> None:
    """Security context: ContainerStatus.user is who it runs as."""
    linux = with_context(run_as_user=number(1000), run_as_group=number(2000), supplemental_groups=[3001])
    user = (await kit.status(await kit.run(sandbox, linux=linux))).user.linux
    assert (user.uid, user.gid) == (1000, 2000)
    assert 3001 in user.supplemental_groups
