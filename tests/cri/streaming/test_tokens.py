"""Tokens: single use, one minute, at most a thousand."""

from __future__ import annotations

import pytest

from cri.errors import ResourceExhausted
from cri.streaming.tokens import MAX_OUTSTANDING, TOKEN_LIFETIME, TokenStore


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> TokenStore[str]:
    return TokenStore(clock=clock)


def test_the_limits_are_those_of_cri() -> None:
    assert (TOKEN_LIFETIME, MAX_OUTSTANDING) == (60.0, 1000)


def test_a_token_gives_back_its_request(tokens: TokenStore[str]) -> None:
    assert tokens.redeem(tokens.issue("request")) == "request"


def test_a_token_works_once(tokens: TokenStore[str]) -> None:
    token = tokens.issue("request")
    tokens.redeem(token)
    assert tokens.redeem(token) is None


def test_a_token_works_to_the_end_of_its_minute(tokens: TokenStore[str], clock: Clock) -> None:
    token = tokens.issue("request")
    clock.now += 59.999
    assert tokens.redeem(token) == "request"


def test_a_token_is_dead_after_a_minute(tokens: TokenStore[str], clock: Clock) -> None:
    token = tokens.issue("request")
    clock.now += 60.0
    assert tokens.redeem(token) is None


@pytest.mark.parametrize("guess", ["", "x", "../etc", "0" * 32])
def test_a_token_that_was_never_given_out_is_nothing(tokens: TokenStore[str], guess: str) -> None:
    tokens.issue("request")
    assert tokens.redeem(guess) is None


def test_one_token_more_than_the_limit_is_refused_in_words_that_help(tokens: TokenStore[str]) -> None:
    for _ in range(1000):
        tokens.issue("request")
    with pytest.raises(ResourceExhausted, match=r"1000 streaming URLs .* 60 s"):
        tokens.issue("request")


def test_a_used_token_makes_room(tokens: TokenStore[str]) -> None:
    issued = [tokens.issue("request") for _ in range(1000)]
    tokens.redeem(issued[500])
    tokens.issue("request")
    assert len(tokens) == 1000


def test_expired_tokens_make_room(tokens: TokenStore[str], clock: Clock) -> None:
    for _ in range(1000):
        tokens.issue("request")
    clock.now += 60.0
    tokens.issue("request")
    assert len(tokens) == 1


def test_tokens_are_long_and_never_the_same(tokens: TokenStore[str]) -> None:
    issued = {tokens.issue("request") for _ in range(1000)}
    assert len(issued) == 1000
    assert {len(token) for token in issued} == {32}
