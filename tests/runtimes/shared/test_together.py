"""Questions that many ask at once."""

from __future__ import annotations

import asyncio

import pytest

from runtimes.shared.together import Together


class Oracle:
    """Answers with the number of the question, when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.cancelled = 0

    async def answer(self) -> int:
        self.asked += 1
        number = self.asked
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return number


async def begun(together: Together[int], oracle: Oracle, key: str = "key") -> asyncio.Task[int]:
    asking = asyncio.create_task(together.ask(key, oracle.answer))
    for _ in range(3):
        await asyncio.sleep(0)
    return asking


async def test_who_asks_while_a_question_is_under_way_shares_the_next() -> None:
    together, oracle = Together[int](), Oracle()
    asking = [await begun(together, oracle) for _ in range(5)]
    oracle.may_answer.set()
    assert await asyncio.gather(*asking) == [1, 2, 2, 2, 2]


async def test_who_asks_later_gets_an_answer_of_its_own() -> None:
    together, oracle = Together[int](), Oracle()
    oracle.may_answer.set()
    assert [await together.ask("key", oracle.answer) for _ in range(3)] == [1, 2, 3]


async def test_other_questions_do_not_wait() -> None:
    together, oracle = Together[int](), Oracle()
    asking = [await begun(together, oracle, key) for key in ("one", "other")]
    assert oracle.asked == 2
    oracle.may_answer.set()
    assert await asyncio.gather(*asking) == [1, 2]


async def test_a_question_that_nobody_waits_for_is_given_up() -> None:
    together, oracle = Together[int](), Oracle()
    asking = await begun(together, oracle)
    asking.cancel()
    await asyncio.wait({asking})
    for _ in range(3):
        await asyncio.sleep(0)
    assert oracle.cancelled == 1


async def test_one_that_waits_still_gets_its_answer_when_another_leaves() -> None:
    together, oracle = Together[int](), Oracle()
    leaving, staying = [(await begun(together, oracle), await begun(together, oracle))[1] for _ in range(2)]
    leaving.cancel()
    oracle.may_answer.set()
    assert await staying == 2


async def test_a_failure_is_that_of_those_who_shared_it() -> None:
    together = Together[int]()

    async def fail() -> int:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await together.ask("key", fail)
