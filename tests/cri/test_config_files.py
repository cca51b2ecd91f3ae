"""Configuration files that cannot be read, and what is said about them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from cri.config import load
from cri.errors import InvalidArgument
from tests.cri.sample import Inner, Sample, refusal, sample


@pytest.mark.parametrize(
    ("suffix", "text", "told"),
    [
        (".ini", "", "allowed: .toml, .yaml, .yml, .json"),
        (".toml", "name = \n", "line 1"),
        (".toml", 'name = "a"\nname = "b"\ncount = 1', "line 2"),
        (".yaml", "name: [a", "line 1"),
        (".yaml", "name: a\ncount: 1\nname: b\n", "line 3: the key 'name' is given twice"),
        (".yaml", "inner:\n  level: low\n  level: high\n", "line 3: the key 'level' is given twice"),
        (".yaml", "1: x", "line 1: the key '1' is not text"),
        (".yaml", "on: x", "line 1: the key 'on' is not text"),
        (".yaml", "name: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (".yaml", "- a\n- b\n", "holds a list; a table"),
        (".json", '{"name": "a", "name": "b"}', "the key 'name' is given twice"),
        (".json", '{"name": }', "line 1"),
        (".json", "[1]", "holds a list; a table"),
        (".json", "[" * 100_000, "config.json"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_place(suffix: str, text: str, told: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, text, suffix)
    assert message.startswith(str(tmp_path / f"config{suffix}"))
    assert told in message


def test_yaml_that_merges_a_block_is_no_duplicate(tmp_path: Path) -> None:
    text = "inner: &base\n  level: high\nmaybe:\n  <<: *base\n  password: p\n"
    assert sample(tmp_path, text, ".yaml").value.maybe == Inner(level="high", password=SecretStr("p"))


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument, match=r"config\.toml"):
        load(Sample, tmp_path / "config.toml", environ={})


def test_a_file_that_was_named_and_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"gone\.toml: cannot be read: No such file"):
        load(Sample, tmp_path / "gone.toml", environ={})
