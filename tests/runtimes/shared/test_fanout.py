"""One source, many listeners."""

from __future__ import annotations

import asyncio
import gc

import pytest

from cri.errors import ResourceExhausted
from runtimes.shared.fanout import Fanout


async def test_every_listener_hears_everything_from_its_subscription_on() -> None:
    source: Fanout[int] = Fanout()
    first = source.subscribe()
    source.publish(1)
    second = source.subscribe()
    source.publish(2)
    source.close()
    assert [each async for each in first] == [1, 2]
    assert [each async for each in second] == [2]


async def test_a_listener_that_waits_is_woken() -> None:
    source: Fanout[int] = Fanout()
    subscription = source.subscribe()
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    source.publish(1)
    assert await waiting == 1


async def test_a_slow_listener_is_told_after_what_it_did_not_miss_and_disturbs_no_other() -> None:
    source: Fanout[int] = Fanout(backlog=2)
    slow, quick = source.subscribe(), source.subscribe()
    for each in (1, 2, 3):
        source.publish(each)
        assert await anext(quick) == each
    assert [await anext(slow), await anext(slow)] == [1, 2]
    with pytest.raises(ResourceExhausted, match="relist"):
        await anext(slow)


async def test_a_closed_or_forgotten_listener_is_heard_of_no_more() -> None:
    source: Fanout[int] = Fanout()
    closed, forgotten = source.subscribe(), source.subscribe()
    assert source.heard
    await closed.aclose()
    del forgotten
    gc.collect()
    assert not source.heard
    source.publish(1)
    assert [each async for each in closed] == []


async def test_who_subscribes_to_a_closed_source_hears_the_end() -> None:
    source: Fanout[int] = Fanout()
    source.close()
    assert [each async for each in source.subscribe()] == []
