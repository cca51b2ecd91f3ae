"""Devices by name, as the Container Device Interface describes them: files of the host's that say what has to be put
into a container for a device to work there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cri.errors import FailedPrecondition, InvalidArgument

DIRECTORIES = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""What a later one says of a device wins: the second is made anew at each boot."""

_SUFFIXES = (".json", ".yaml", ".yml")
_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_NODE_FIELDS = {"type": "kind", "major": "major", "minor": "minor", "fileMode": "mode", "uid": "uid", "gid": "gid"}
_HOOK_FIELDS = ("path", "args", "env", "timeout")
_FIELD = "config.CDI_devices"

Edits = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Described:
    """A device, and the file that describes it."""

    file: Path
    common: Edits
    own: Edits


@dataclass(frozen=True, slots=True)
class Node:
    """A device node that a file names. ``said`` are the fields of a ``DeviceNode`` that are not to be the host's."""

    host_path: str
    path: str
    access: str
    said: Mapping[str, Any]


@dataclass(slots=True)
class Additions:
    """What the devices of a container bring with them."""

    nodes: list[Node] = field(default_factory=list)
    env: list[str] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    hooks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def additions(names: Iterable[str], directories: Sequence[Path] | None = None) -> Additions:
    """Look up devices such as ``vendor.com/gpu=0``. Blocks. Raises InvalidArgument for a name that no file has,
    FailedPrecondition for one that two files have, and for a file that is none."""
    found = Additions()
    wanted = list(names)
    if not wanted:
        return found
    places = DIRECTORIES if directories is None else directories
    known = _known(places)
    seen: set[Path] = set()
    for name in wanted:
        if name not in known:
            raise InvalidArgument(
                f"{_FIELD}: {name!r} is not described in {' or '.join(map(str, places))}; "
                f"there {'are ' + ', '.join(sorted(known)) if known else 'is no device'}"
            )
        device = known[name]
        try:
            if device.file not in seen:
                _add(found, device.common)
                seen.add(device.file)
            _add(found, device.own)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FailedPrecondition(f"{_FIELD}: {str(device.file)!r} is no CDI file: {error!r}") from error
    return found


def apply(spec: dict[str, Any], found: Additions) -> None:
    """Put into a config what is not a device node. Pure."""
    process = spec["process"]
    process["env"] = _over(process["env"], found.env)
    process["user"]["additionalGids"] = list(dict.fromkeys([*process["user"]["additionalGids"], *found.groups]))
    spec["mounts"] = [*spec["mounts"], *found.mounts]
    if found.hooks:
        spec["hooks"] = found.hooks


def _over(env: Iterable[str], added: Iterable[str]) -> list[str]:
    return [f"{name}={value}" for name, value in dict(pair.split("=", 1) for pair in (*env, *added)).items()]


def _known(directories: Iterable[Path]) -> dict[str, _Described]:
    known: dict[str, _Described] = {}
    for directory in directories:
        here: dict[str, _Described] = {}
        for name, device in _described(directory):
            if name in here:
                raise FailedPrecondition(f"{_FIELD}: {name!r} is in {here[name].file} and in {device.file}")
            here[name] = device
        known |= here
    return known


def _described(directory: Path) -> Iterator[tuple[str, _Described]]:
    if not directory.is_dir():
        return
    for file in sorted(each for each in directory.iterdir() if each.suffix in _SUFFIXES):
        try:
            text = file.read_text()
            content = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
            common = content.get("containerEdits") or {}
            for device in content["devices"]:
                yield (
                    f"{content['kind']}={device['name']}",
                    _Described(file, common, device.get("containerEdits") or {}),
                )
        except (OSError, KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
            raise FailedPrecondition(f"{_FIELD}: {str(file)!r} is no CDI file: {error!r}") from error


def _add(found: Additions, edits: Edits) -> None:
    found.nodes += [_node(each) for each in edits.get("deviceNodes") or ()]
    for pair in edits.get("env") or ():
        if "=" not in pair:
            raise ValueError(f"{pair!r} is no variable")
        found.env.append(pair)
    found.groups += [int(group) for group in edits.get("additionalGids") or ()]
    for mount in edits.get("mounts") or ():
        found.mounts.append(
            {
                "destination": mount["containerPath"],
                "source": mount["hostPath"],
                "type": mount.get("type") or "bind",
                "options": list(mount.get("options") or ("rbind", "ro", "nosuid", "nodev")),
            }
        )
    for hook in edits.get("hooks") or ():
        if hook["hookName"] not in _HOOKS:
            raise ValueError(f"{hook['hookName']!r} is no hook")
        found.hooks.setdefault(hook["hookName"], []).append({key: hook[key] for key in _HOOK_FIELDS if key in hook})


def _node(given: Mapping[str, Any]) -> Node:
    said = {name: given[word] for word, name in _NODE_FIELDS.items() if word in given}
    return Node(given.get("hostPath") or given["path"], given["path"], given.get("permissions") or "rwm", said)
