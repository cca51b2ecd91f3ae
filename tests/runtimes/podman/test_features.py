"""What an engine is taken to be, from what it says of itself."""

from __future__ import annotations

import os

import pytest

from cri.errors import FailedPrecondition
from runtimes.podman import features, status
from runtimes.podman.features import EngineFacts
from tests.runtimes.podman.examples import facts, version


@pytest.mark.parametrize("number", ["4.3.0", "4.9.3", "5.0.0-dev", "6.1.0"])
def test_every_engine_from_4_3_on_is_spoken_to_in_the_api_that_was_learnt(number: str) -> None:
    assert features.negotiate(version(number)) == "4.0.0"


def test_an_engine_that_forgot_that_api_is_spoken_to_in_its_oldest() -> None:
    assert features.negotiate(version("7.0.0", oldest="5.0.0")) == "5.0.0"


@pytest.mark.parametrize("number", ["3.4.4", "4.2.1", ""])
def test_an_older_engine_is_refused(number: str) -> None:
    with pytest.raises(FailedPrecondition, match=r"4\.3"):
        features.negotiate(version(number))


def test_parts_of_images_can_be_mounted_from_5_4_on() -> None:
    assert not facts("5.3.9").features.image_subpaths
    assert facts("5.4.0").features.image_subpaths


def test_user_namespaces_are_announced_where_the_engine_has_users_to_give() -> None:
    (handler, named) = status.handlers(facts(), is_local=True)
    assert (handler.name, named.name) == ("", "crun")
    assert handler.features.user_namespaces
    rootless = status.handlers(facts(security={"rootless": True}), is_local=True)
    assert not rootless[0].features.user_namespaces


def test_recursive_read_only_mounts_are_announced_where_the_containers_are_in_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def announced(engine: EngineFacts, *, is_local: bool = True) -> bool:
        return status.handlers(engine, is_local=is_local)[0].features.recursive_read_only_mounts

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert announced(facts())
    assert not announced(facts(), is_local=False)
    assert not announced(facts(security={"rootless": True}))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not announced(facts())
