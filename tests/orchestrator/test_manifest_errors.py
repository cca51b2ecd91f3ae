"""Manifests that are wrong: every problem at once, each with file, document, line, field, value and way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from cri.documents import Format
from cri.errors import InvalidArgument, error_for
from manifests import manifest
from manifests.manifest import ManifestInvalid

TASK = "name: web\nimage: busybox\n"


def errors(text: str, form: Format = "yaml", directory: str = "") -> list[str]:
    with pytest.raises(ManifestInvalid) as caught:
        manifest.parse(text, form, source="web.yaml", directory=directory)
    return caught.value.message.splitlines()


def error(text: str, form: Format = "yaml") -> str:
    (only,) = errors(text, form)
    return only


def test_all_problems_of_all_documents_come_at_once_with_their_lines() -> None:
    found = errors("name: Web\nimage: busybox\ntty: maybe\n---\nname: ok\nimage: busybox\nrestart: sometimes\n")
    assert [line.split(": ")[:2] for line in found] == [
        ["web.yaml:1 document 1", "name"],
        ["web.yaml:3 document 1", "tty"],
        ["web.yaml:7 document 2", "restart.policy"],
    ]


def test_an_unknown_key_names_the_nearest_known_one() -> None:
    assert error(TASK + "comand: [ls]\n") == "web.yaml:3: comand: unknown key; did you mean 'command'?"


def test_an_unknown_key_inside_a_list_is_looked_up_in_its_own_model() -> None:
    text = TASK + "network:\n  ports:\n    - container: 80\n      hostip: 127.0.0.1\n"
    assert error(text) == "web.yaml:6: network.ports[0].hostip: unknown key; did you mean 'host_ip'?"


def test_an_unknown_key_that_resembles_nothing_lists_the_known_ones() -> None:
    assert error(TASK + "stop: {qqq: 1}\n") == "web.yaml:3: stop.qqq: unknown key; known: grace, signal"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("image:", "image: is empty; give a value"),
        ("resources: {memory: 64Q}", "resources.memory: '64Q': write bytes"),
        ("resources: {cpu: lots}", "resources.cpu: 'lots': write cores"),
        ("resources: {pids: 0}", "resources.pids: '0': must be greater than 0"),
        ("stop: {grace: 5x}", "stop.grace: '5x': write seconds"),
        ("stop: {signal: SIGFOO}", "stop.signal: 'SIGFOO': write a signal's name"),
        ("network: {ports: [70000]}", "container port 70000 is not a port"),
        ("network: {ports: ['80-81:80']}", "the ranges have 2 and 1 ports"),
        ("network: {ports: ['a:b']}", "write 80, 8080:80"),
        ("network: {ports: ['8080:80', '8080:81']}", "port :8080/tcp is published twice"),
        ("network: {mode: host, ports: [80]}", "network: ports needs mode bridge, not host"),
        ("network: {ipv4: 10.0.0.9}", "ipv4 needs the name of a network"),
        ("network: {name: lan, ipv4: 10.0.0.999}", "network.ipv4: '10.0.0.999'"),
        ("network: {name: lan, mac: 02-42}", "six bytes in hex"),
        ("network: {extra_hosts: {db: nowhere}}", "network.extra_hosts.db: 'nowhere'"),
        ("mounts: ['/a']", "mounts[0]: '/a': write /source:/target"),
        ("mounts: ['/a:/']", "a mount needs a target below /"),
        ("mounts: ['/a:/x/../../etc']", "without '..'"),
        ("mounts: ['/a:/x', '/b:/x']", "target /x is mounted twice"),
        ("command: ls -l", "write a list of words: ['ls', '-l']"),
        ('env: {A: "x\\0y"}', "a NUL byte cannot be passed"),
        ('mounts: ["/a\\0:/b"]', "a NUL byte cannot be passed"),
        ("labels: {minicri.io/task: x}", "is kept for minicri itself"),
        ("platform: windows", "must be os/arch or os/arch/variant"),
        ("workdir: here", "write an absolute path"),
        ("replicas: -1", "replicas: '-1': must be greater than or equal to 0"),
        ("replicas: 2\nnetwork: {ports: ['8080:80']}", "2 replicas cannot share host port 8080"),
        ("replicas: 2\nnetwork: {name: lan, ipv4: 10.0.0.9}", "2 replicas cannot share one ipv4"),
        ("pull: sometimes", "pull: 'sometimes': must be 'missing', 'always' or 'never'"),
    ],
)
def test_a_wrong_value_is_named_with_its_field_and_what_is_allowed(line: str, expected: str) -> None:
    text = TASK.replace("image: busybox\n", "") + line + "\n" if line == "image:" else TASK + line + "\n"
    assert expected in error(text)


def test_a_kind_that_is_not_known_is_refused() -> None:
    said = "web.yaml:1: kind: 'Job' is not supported; supported are Task, Pod, Deployment"
    assert error(f"kind: Job\n{TASK}") == said


def test_a_key_given_twice_is_refused_in_every_format() -> None:
    assert error("name: a\nimage: i\nname: b\n") == "web.yaml:3: name: the key is given twice"
    assert error('{"name": "a", "image": "i", "name": "b"}', "json") == "web.yaml: name: the key is given twice"
    assert "not TOML: Cannot overwrite a value" in error('name="a"\nimage="i"\nname="b"', "toml")


def test_two_tasks_of_one_name_are_refused() -> None:
    assert errors(f"{TASK}---\n{TASK}")[0] == (
        "web.yaml:4 document 2: name: 'web' is the name of another task: web.yaml:1 document 1: first here"
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("../site", "leaves the file's folder"),
        ("./a/../../b", "leaves the file's folder"),
        ("site", "or ./… for this folder"),
    ],
)
def test_a_relative_mount_stays_in_the_files_folder(source: str, expected: str) -> None:
    (found,) = errors(TASK + f"mounts: ['{source}:/www']\n", directory="/srv")
    assert expected in found
    assert "mounts[0]" in found


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("name: [", "yaml", "web.yaml:2: not YAML"),
        ("\tname: a", "yaml", "web.yaml:1: not YAML"),
        ('{"name": }', "json", "web.yaml:1: not JSON"),
        ("name = ", "toml", "web.yaml: not TOML"),
        ("", "yaml", "has no task"),
        ("[]", "json", "has no task"),
        ("# nothing\n", "toml", "has no task"),
        ("just text", "yaml", "a task is a mapping"),
        ("? [a, b]\n: c\n", "yaml", "a key must be plain text"),
        ("name: !!python/object:os.system x", "yaml", "is not supported; remove it"),
        ("a: &a [*a]", "yaml", "contains itself"),
        ("[" * 5000, "yaml", "web.yaml"),
        ("[" * 100_000, "json", "nested too deeply"),
    ],
)
def test_what_is_not_the_format_is_said_with_the_place(text: str, form: Format, expected: str) -> None:
    assert expected in error(text, form)


def test_aliases_cannot_blow_a_small_file_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 9)]
    assert "once its aliases are written out" in error("\n".join(lines))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ManifestInvalid, match="not UTF-8 text: byte 6 is 0xff"):
        manifest.read(str(file))


def test_the_error_keeps_its_class_across_the_wire() -> None:
    there = error_for(InvalidArgument.code, "web.yaml: name: is required", reason=ManifestInvalid.reason)
    assert isinstance(there, ManifestInvalid)
