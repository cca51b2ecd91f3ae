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
        (".yaml", "name: [a", ":2: not YAML"),
        (".yaml", "name: a\ncount: 1\nname: b\n", ":3: name: the key is given twice"),
        (".yaml", "inner:\n  level: low\n  level: high\n", ":3: inner.level: the key is given twice"),
        (".yaml", "1: x", ":1: 1: unknown key"),
        (".yaml", "on: x", ":1: on: unknown key"),
        (".yaml", "name: !!python/object/apply:os.getcwd []", ":1: name: the tag"),
        (".yaml", "name: a\n---\nname: b\n", "holds 2 documents; a table"),
        (".yaml", "- a\n- b\n", "holds a list; a table"),
        (".json", '{"name": "a", "name": "b"}', "name: the key is given twice"),
        (".json", '{"name": }', ":1: not JSON"),
        (".json", "[1]", "holds a list; a table"),
        (".json", "[" * 100_000, "nested too deeply"),
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
    with pytest.raises(InvalidArgument, match=r"config\.toml: not UTF-8 text: byte 0 is 0xff"):
        load(Sample, tmp_path / "config.toml", environ={})


def test_a_file_that_was_named_and_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"gone\.toml: cannot be read: No such file"):
        load(Sample, tmp_path / "gone.toml", environ={})
