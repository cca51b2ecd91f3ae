"""Manifests that are right: what each form means, and that nothing is lost on the way out and in again."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cri.documents import FORMATS, Format
from manifests import manifest
from manifests.spec import TaskSpec
from manifests.values import RESERVED


def one(text: str, form: Format = "yaml", directory: str = "") -> TaskSpec:
    (spec,) = manifest.parse(text, form, directory=directory)
    return spec


def with_field(line: str) -> TaskSpec:
    return one(f"name: web\nimage: busybox\n{line}\n")


def test_the_three_formats_say_the_same() -> None:
    yaml = "name: web\nimage: busybox\ncommand: [httpd, -f]\nenv: {PORT: 8080}\nresources: {cpu: 0.5, memory: 64Mi}\n"
    toml = (
        'name = "web"\nimage = "busybox"\ncommand = ["httpd", "-f"]\n'
        'env.PORT = 8080\nresources = {cpu = 0.5, memory = "64Mi"}\n'
    )
    text = json.dumps(
        {
            "name": "web",
            "image": "busybox",
            "command": ["httpd", "-f"],
            "env": {"PORT": 8080},
            "resources": {"cpu": 0.5, "memory": 64 * 2**20},
        }
    )
    assert one(yaml) == one(toml, "toml") == one(text, "json")
    assert one(yaml).env == {"PORT": "8080"}


@pytest.mark.parametrize(
    ("written", "cores"), [("0.5", 0.5), ("500m", 0.5), ("2", 2.0), ("'250m'", 0.25), (".25", 0.25)]
)
def test_cpu_is_cores_or_millicores(written: str, cores: float) -> None:
    assert with_field(f"resources: {{cpu: {written}}}").resources.cpu == cores


@pytest.mark.parametrize(
    ("written", "size"), [("64Mi", 64 * 2**20), ("1G", 10**9), ("1.5Gi", 3 * 2**29), ("512", 512), ("2kB", 2000)]
)
def test_memory_is_bytes_or_a_number_with_a_unit(written: str, size: int) -> None:
    assert with_field(f"resources: {{memory: {written}}}").resources.memory == size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("10", 10), ("10s", 10), ("1m", 60), ("1m30s", 90), ("500ms", 0.5), ("2.5", 2.5), ("1h", 3600)],
)
def test_a_grace_is_seconds_or_a_duration(written: str, seconds: float) -> None:
    assert with_field(f"stop: {{grace: {written}}}").stop.grace == seconds


def test_ports_have_dockers_short_form() -> None:
    spec = with_field('network: {ports: [80, 8080:80, "127.0.0.1:53:5353/udp", "[::1]:81:81", 9000-9001:90-91]}')
    ports = [(p.host_ip, p.host, p.container, p.protocol) for p in spec.network.ports]
    assert ports == [
        ("", 0, 80, "tcp"),
        ("", 8080, 80, "tcp"),
        ("127.0.0.1", 53, 5353, "udp"),
        ("::1", 81, 81, "tcp"),
        ("", 9000, 90, "tcp"),
        ("", 9001, 91, "tcp"),
    ]


def test_an_unquoted_port_pair_is_not_a_number_in_base_sixty() -> None:
    (port,) = with_field("network: {ports: [22:22]}").network.ports
    assert (port.host, port.container) == (22, 22)


@pytest.mark.parametrize(
    "word", ["on", "off", "yes", "no", "y", "010", "1_000", "1.10", "0x10", "22:22", "2024-01-01", "true", "1e3"]
)
def test_a_plain_scalar_reaches_a_text_field_as_it_was_written(word: str) -> None:
    assert with_field(f"env: {{A: {word}}}").env == {"A": word}


@pytest.mark.parametrize(
    ("form", "text"),
    [("json", '{"name":"a","image":"b","env":{"V":1.10}}'), ("toml", 'name="a"\nimage="b"\nenv.V=1.10')],
)
def test_a_fraction_in_json_and_toml_keeps_its_digits_too(form: Format, text: str) -> None:
    assert one(text, form).env == {"V": "1.10"}


@pytest.mark.parametrize(("word", "meaning"), [("yes", True), ("off", False), ("true", True)])
def test_a_word_for_true_or_false_is_one_where_the_field_is(word: str, meaning: bool) -> None:
    assert with_field(f"tty: {word}").tty is meaning


def test_restart_and_network_may_be_a_single_word() -> None:
    assert with_field("restart: on-failure").restart.policy == "on-failure"
    assert with_field("network: host").network.mode == "host"
    assert with_field("network: backend").network.name == "backend"


def test_a_stop_signal_may_be_a_name_or_a_number() -> None:
    assert {with_field(f"stop: {{signal: {word}}}").stop.signal for word in ("SIGINT", "int", "2")} == {"SIGINT"}


def test_anchors_and_merge_keys_work() -> None:
    first, second = manifest.parse("- &base {name: a, image: busybox, env: {A: 1}}\n- {<<: *base, name: b}\n", "yaml")
    assert (first.name, second.name, second.env) == ("a", "b", {"A": "1"})


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("yaml", "name: a\nimage: i\n---\n---\nname: b\nimage: i\n"),
        ("yaml", "- {name: a, image: i}\n- {name: b, image: i}\n"),
        ("json", '[{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]'),
        ("json", '{"name": "a", "image": "i"}\n{"name": "b", "image": "i"}\n'),
        ("toml", '[[task]]\nname="a"\nimage="i"\n[[task]]\nname="b"\nimage="i"\n'),
    ],
)
def test_a_file_holds_several_tasks(form: Format, text: str) -> None:
    assert [spec.name for spec in manifest.parse(text, form)] == ["a", "b"]


def test_an_exported_script_is_readable_yaml() -> None:
    spec = with_field('command: [sh, -c, "cd /www\\nexec httpd -f\\n"]')
    assert "- |\n  cd /www\n  exec httpd -f\n" in manifest.export([spec], "yaml")


def test_kind_and_api_version_may_be_written() -> None:
    assert one("apiVersion: minicri.io/v1\nkind: Task\nname: a\nimage: i\n").name == "a"


def test_a_relative_mount_is_taken_from_the_files_own_folder(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("name: web\nimage: busybox\nmounts: [./site:/www:ro, /etc/hosts:/h]\n")
    (spec,) = manifest.read(str(file))
    assert [(m.source, m.target, m.readonly) for m in spec.mounts] == [
        (f"{tmp_path}/site", "/www", True),
        ("/etc/hosts", "/h", False),
    ]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("# web\nname: web\n", "yaml"),
        ("---\nname: web\n", "yaml"),
        ('\n{"name": 1}', "json"),
        ("[[task]]\nname='a'", "toml"),
        ('name = "web"', "toml"),
        ("command: [a=b]", "yaml"),
    ],
)
def test_standard_input_is_recognised_by_how_it_begins(text: str, form: Format) -> None:
    assert manifest.guess_format(text) == form


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"name": "a", "image": "i"}'))
    assert [spec.name for spec in manifest.read("-")] == ["a"]


def test_what_editors_get_is_a_schema_that_takes_short_and_long_forms() -> None:
    schema = manifest.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    good = {
        "kind": "Task",
        "name": "web",
        "image": "busybox",
        "restart": "always",
        "network": {"ports": ["8080:80", 80, {"container": 80}]},
        "mounts": ["/a:/b:ro", {"source": "/a", "target": "/c"}],
        "resources": {"cpu": "500m", "memory": 1024},
        "stop": {"grace": "10s"},
    }
    jsonschema.validate(good, schema)
    jsonschema.validate([good], schema)
    jsonschema.validate({"task": [good]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**good, "imagee": "x"}, schema)


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
_seconds = st.floats(min_value=0, max_value=1e9, allow_nan=False)
_networks: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.just({}),
    st.just({"mode": "host"}),
    st.fixed_dictionaries(
        {"name": st.just("lan")},
        optional={
            "aliases": st.lists(_names, max_size=2),
            "ipv4": st.ip_addresses(v=4).map(str),
            "ipv6": st.ip_addresses(v=6).map(str),
            "hostname": _names,
            "mac": st.just("02:42:ac:11:00:10"),
            "extra_hosts": st.dictionaries(_names, st.ip_addresses().map(str), max_size=2),
            "dns": st.fixed_dictionaries({"servers": st.lists(st.ip_addresses().map(str), max_size=2)}),
            "ports": st.lists(st.integers(1, 65535).map(lambda port: f"{port}:{port}/udp"), unique=True, max_size=3),
        },
    ),
)
_specs = st.fixed_dictionaries(
    {"name": _names, "image": st.just("registry:5000/busybox:1.36")},
    optional={
        "command": st.lists(_text, max_size=3),
        "args": st.lists(_text, max_size=3),
        "env": st.dictionaries(st.from_regex(r"[A-Za-z_ .]{1,5}", fullmatch=True), _text, max_size=3),
        "workdir": st.just("/srv/data"),
        "user": st.just("1000:100"),
        "resources": st.fixed_dictionaries(
            {},
            optional={
                "cpu": st.floats(0.001, 512),
                "memory": st.integers(1, 2**50),
                "pids": st.integers(1, 10**6),
            },
        ),
        "restart": st.fixed_dictionaries(
            {"policy": st.sampled_from(["never", "on-failure", "always"])},
            optional={
                "backoff": _seconds,
                "max_backoff": _seconds,
                "reset_after": _seconds,
                "attempts": st.integers(0, 99),
            },
        ),
        "network": _networks,
        "platform": st.just("linux/arm64/v8"),
        "mounts": st.lists(_names.map(lambda name: f"/srv/{name}:/{name}:ro"), unique=True, max_size=2),
        "stop": st.fixed_dictionaries({}, optional={"grace": _seconds, "signal": st.just("SIGRTMIN+3")}),
        "labels": st.dictionaries(_text.filter(lambda key: key and not key.startswith(RESERVED)), _text, max_size=2),
        "pull": st.sampled_from(["missing", "always", "never"]),
        "tty": st.booleans(),
    },
).map(TaskSpec.model_validate)


@settings(max_examples=150, deadline=None)
@given(specs=st.lists(_specs, min_size=1, max_size=3, unique_by=lambda spec: spec.name), form=st.sampled_from(FORMATS))
def test_what_export_writes_parse_reads_back_without_loss(specs: list[TaskSpec], form: Format) -> None:
    assert manifest.parse(manifest.export(specs, form), form) == specs


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200), form=st.sampled_from(FORMATS))
def test_any_text_is_either_tasks_or_one_clear_error(text: str, form: Format) -> None:
    with contextlib.suppress(manifest.ManifestInvalid):
        assert all(isinstance(spec, TaskSpec) for spec in manifest.parse(text, form))
