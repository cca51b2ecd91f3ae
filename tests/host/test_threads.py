"""What counts as a thread that the tests have left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.host.fixtures import threads_beside


@pytest.fixture
def over() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_thread_that_is_about_to_end_is_not_left(over: threading.Event) -> None:
    before = set(threading.enumerate())
    threading.Thread(target=over.wait).start()
    ending = threading.Timer(0.2, over.set)
    ending.start()
    assert threads_beside(before, grace=60) == []


def test_a_thread_that_goes_on_is_left(over: threading.Event) -> None:
    before = set(threading.enumerate())
    staying = threading.Thread(target=over.wait)
    staying.start()
    assert threads_beside(before, grace=0.2) == [staying]


def test_a_daemon_keeps_nobody_from_ending(over: threading.Event) -> None:
    before = set(threading.enumerate())
    threading.Thread(target=over.wait, daemon=True).start()
    assert threads_beside(before, grace=60) == []
