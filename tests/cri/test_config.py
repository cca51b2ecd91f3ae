"""Settings from a file, the environment and flags, and what is said about those that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from cri.config import DEFAULT, load
from cri.errors import InvalidArgument
from tests.cri.sample import Blue, Inner, Red, Sample, refusal, sample

WRITTEN = {
    ".toml": 'name = "x"\ncount = 2\nitems = ["a", "b"]\n[inner]\nlevel = "high"\n',
    ".yaml": "name: x\ncount: 2\nitems: [a, b]\ninner:\n  level: high\n",
    ".yml": "{name: x, count: 2, items: [a, b], inner: {level: high}}",
    ".json": '{"name": "x", "count": 2, "items": ["a", "b"], "inner": {"level": "high"}}',
}


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_format_says_the_same(suffix: str, tmp_path: Path) -> None:
    loaded = sample(tmp_path, WRITTEN[suffix], suffix)
    assert loaded.value == Sample(name="x", count=2, items=("a", "b"), inner=Inner(level="high"))
    assert loaded.path == tmp_path / f"config{suffix}"


@pytest.mark.parametrize("suffix", WRITTEN)
def test_an_empty_file_is_all_defaults(suffix: str, tmp_path: Path) -> None:
    assert sample(tmp_path, "", suffix).value == Sample()


# --- which word counts --------------------------------------------------------------------------------------------


def test_the_environment_goes_over_the_file_and_flags_over_both(tmp_path: Path) -> None:
    text = 'name = "file"\ncount = 1\nflag = false\n'
    environ = {"MINICRI_COUNT": "2", "MINICRI_FLAG": "true"}
    loaded = sample(tmp_path, text, environ=environ, flags={"count": 3, "name": None})
    assert (loaded.value.name, loaded.value.count, loaded.value.flag) == ("file", 3, True)
    assert loaded.sources["name"] == str(tmp_path / "config.toml")
    assert loaded.sources["count"] == "flag --count"
    assert loaded.sources["flag"] == "environment MINICRI_FLAG"
    assert loaded.sources["inner.level"] == DEFAULT


def test_two_underscores_go_one_level_down_and_leave_the_neighbours(tmp_path: Path) -> None:
    text = '[inner]\npassword = "p"\n[colours.red]\nshade = 4\n'
    environ = {"MINICRI_INNER__LEVEL": "high", "MINICRI_COLOURS__RED__TOKEN": "t"}
    loaded = sample(tmp_path, text, environ=environ)
    assert loaded.value.inner == Inner(level="high", password=SecretStr("p"))
    assert loaded.value.colours == {"red": Red(shade=4, token=SecretStr("t"))}
    assert loaded.sources["inner.level"] == "environment MINICRI_INNER__LEVEL"
    assert loaded.sources["inner.password"] == str(loaded.path)


def test_lists_and_tables_in_the_environment_are_json(tmp_path: Path) -> None:
    environ = {"MINICRI_ITEMS": '["a,b", "c"]', "MINICRI_LABELS": '{"k": "v"}', "MINICRI_COLOURS": '{"blue": {}}'}
    loaded = sample(tmp_path, environ=environ)
    assert loaded.value.items == ("a,b", "c")
    assert loaded.value.labels == {"k": "v"}
    assert loaded.value.colours == {"blue": Blue()}


def test_text_in_the_environment_that_looks_like_json_stays_text(tmp_path: Path) -> None:
    assert sample(tmp_path, environ={"MINICRI_NAME": '["a"]'}).value.name == '["a"]'


def test_a_deeper_variable_refines_one_that_sets_the_whole(tmp_path: Path) -> None:
    environ = {"MINICRI_INNER__LEVEL": "high", "MINICRI_INNER": '{"level": "low", "password": "p"}'}
    assert sample(tmp_path, environ=environ).value.inner == Inner(level="high", password=SecretStr("p"))


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    assert sample(tmp_path, environ={"NAME": "x", "OTHER_NAME": "y"}).value == Sample()


def test_another_prefix_is_another_programs(tmp_path: Path) -> None:
    loaded = sample(tmp_path, environ={"X_NAME": "x", "MINICRI_NAME": "y"}, env_prefix="X_")
    assert loaded.value.name == "x"


# --- what is wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nmae = 1", "config.toml: nmae: unknown key; did you mean 'name'?"),
        (
            "zzz = 1",
            "config.toml: zzz: unknown key; known: colours, count, flag, inner, items, labels, maybe, name",
        ),
        ("[inner]\nlevle = 1", "config.toml: inner.levle: unknown key; did you mean 'level'?"),
        ("[maybe]\nlevle = 1", "config.toml: maybe.levle: unknown key; did you mean 'level'?"),
        ("[colours.redd]", "config.toml: colours.redd: unknown key; did you mean 'red'?"),
        ("[colours.red]\nshad = 1", "config.toml: colours.red.shad: unknown key; did you mean 'shade'?"),
        ('count = "many"', "config.toml: count: 'many': must be a valid integer"),
        ('[inner]\nlevel = "middle"', "config.toml: inner.level: 'middle': must be 'low' or 'high'"),
        ("[colours.red]\nshade = -1", "config.toml: colours.red.shade: -1: must be greater than or equal to 0"),
        ("colours = 3", "config.toml: colours: 3: must be a valid dictionary"),
        ("inner = 3", "config.toml: inner: 3: must be a valid dictionary"),
    ],
)
def test_what_is_wrong_is_named_with_the_way_out(text: str, told: str, tmp_path: Path) -> None:
    assert told in refusal(tmp_path, text)


def test_what_is_wrong_in_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    text = "name: a\ninner:\n  level: middle\n"
    assert "config.yaml:3: inner.level: 'middle': must be 'low' or 'high'" in refusal(tmp_path, text, ".yaml")


def test_everything_that_is_wrong_is_told_at_once_each_with_its_source(tmp_path: Path) -> None:
    told = refusal(
        tmp_path, 'count = "x"\nnope = 1', environ={"MINICRI_FLAG": "maybe", "MINICRI_INER__LEVEL": "low"}
    ).splitlines()
    path = tmp_path / "config.toml"
    assert len(told) == 4
    assert told[0].startswith(f"{path}: count: ")
    assert told[1].startswith("environment MINICRI_FLAG: flag: ")
    assert any(
        line.startswith("environment MINICRI_INER__LEVEL: iner: unknown key; did you mean 'inner'") for line in told
    )


def test_a_variable_that_should_be_json_and_is_not_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, environ={"MINICRI_ITEMS": "a,b"}) == (
        "environment MINICRI_ITEMS: items takes JSON, a list or a table"
    )


def test_a_flag_that_is_wrong_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, flags={"inner.level": "x"}).startswith("flag --inner-level: inner.level: 'x': must be ")


@pytest.mark.parametrize(
    "text",
    [
        "[inner]\npassword = 12345",
        '[inner]\npassword = ["hunter2"]',
        'maybe = ["hunter2"]',
        "[colours.red]\ntoken = 12345",
    ],
)
def test_a_secret_is_never_told_when_it_is_wrong(text: str, tmp_path: Path) -> None:
    told = refusal(tmp_path, text)
    assert "12345" not in told
    assert "hunter2" not in told


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    loaded = sample(tmp_path, '[inner]\npassword = "hunter2"\n[colours.red]\ntoken = "hunter2"\n')
    shown = {setting.key: setting.value for setting in loaded.settings()}
    assert shown["inner.password"] == "**********"
    assert shown["colours.red.token"] == "**********"
    assert "hunter2" not in json.dumps(shown)
    assert "hunter2" not in repr(loaded)


def test_what_is_shown_has_every_value_with_its_source_in_the_order_of_the_model(tmp_path: Path) -> None:
    loaded = sample(tmp_path, "count = 2\n[colours.blue]\ndepth = 1.5\n", flags={"name": "x"})
    assert [(setting.key, setting.value, setting.source) for setting in loaded.settings()] == [
        ("name", "x", "flag --name"),
        ("count", 2, str(loaded.path)),
        ("flag", False, DEFAULT),
        ("items", [], DEFAULT),
        ("labels", {}, DEFAULT),
        ("inner.level", "low", DEFAULT),
        ("inner.password", "", DEFAULT),
        ("maybe", None, DEFAULT),
        ("colours.blue.depth", 1.5, str(loaded.path)),
    ]


# --- where it is looked for ---------------------------------------------------------------------------------------


def test_the_first_file_that_exists_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path / "home")}
    places = [
        ("home", tmp_path / "home/.config/minicri/config.toml", {"HOME": environ["HOME"]}),
        ("xdg", tmp_path / "xdg/minicri/config.toml", environ),
        ("here", tmp_path / "minicri.toml", environ),
        ("variable", tmp_path / "variable.toml", {**environ, "MINICRI_CONFIG": str(tmp_path / "variable.toml")}),
    ]
    for name, path, seen in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'name = "{name}"')
        assert load(Sample, environ=seen).value.name == name
    (tmp_path / "given.toml").write_text('name = "given"')
    assert load(Sample, "given.toml", environ=places[-1][2]).value.name == "given"


def test_a_file_that_the_variable_names_and_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"gone\.toml"):
        load(Sample, environ={"MINICRI_CONFIG": str(tmp_path / "gone.toml")})


def test_without_any_file_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.path.isfile", lambda path: False)
    loaded = load(Sample, environ={"HOME": str(tmp_path)})
    assert (loaded.value, loaded.path) == (Sample(), None)
