"""What is taken out of a text that may not show it."""

from __future__ import annotations

from cri.masking import masked


def test_each_line_of_a_secret_is_one_and_what_is_too_short_is_none() -> None:
    assert masked("first, second and 42", ["first\nsecond\n", "42", ""]) == "***, *** and 42"


def test_of_two_secrets_the_longer_one_is_masked_whole() -> None:
    assert masked("longer", ["long", "longer"]) == "***"
