"""What is known of a container that was just made."""

from __future__ import annotations

from typing import Any

from cri.v1 import api_pb2 as v1
from runtimes.shared import labels
from runtimes.shared.fresh import Fresh
from runtimes.shared.records import Records

NAME = "minicri_container_web"
REQUEST = v1.CreateContainerRequest(pod_sandbox_id="s")


def found(created_ns: int = 7) -> dict[str, Any]:
    return {"Name": NAME, "Config": {"Labels": labels.container_labels(REQUEST, created_ns)}}


def test_one_that_was_made_is_known_with_its_record() -> None:
    fresh = Fresh(Records())
    fresh.add("c", found())
    known = fresh.get("c")
    assert known is not None
    assert (known[0]["Id"], known[1].pod_sandbox_id) == ("c", "s")


def test_what_the_engine_tells_before_it_answers_is_known() -> None:
    fresh = Fresh(Records())
    with fresh.making(NAME, found()):
        known = fresh.told("c", NAME, found()["Config"]["Labels"])
    assert known is not None
    assert (known[0]["Id"], known[1].pod_sandbox_id) == ("c", "s")


def test_one_of_the_same_name_that_another_process_made_is_not_known() -> None:
    fresh = Fresh(Records())
    with fresh.making(NAME, found()):
        assert fresh.told("c", NAME, found(created_ns=8)["Config"]["Labels"]) is None


def test_one_that_was_not_made_is_not_known() -> None:
    fresh = Fresh(Records())
    with fresh.making(NAME, found()):
        assert fresh.get("c") is None
    assert fresh.told("c", NAME, found()["Config"]["Labels"]) is None


def test_one_to_which_something_happened_is_not_known() -> None:
    fresh = Fresh(Records())
    for container_id in ("c", "d"):
        fresh.add(container_id, found())
    fresh.forget("c")
    assert (fresh.get("c"), fresh.get("d") is None) == (None, False)
    fresh.forget_all()
    assert fresh.get("d") is None
