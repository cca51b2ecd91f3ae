"""Who one is to a registry, from the places where ``docker login`` and ``podman login`` write it down.

Read anew for each pull, so that a login counts at once. The first file that has something for the image wins:
``$REGISTRY_AUTH_FILE``, ``$XDG_RUNTIME_DIR/containers/auth.json``, ``~/.config/containers/auth.json`` and
``config.json`` in ``$DOCKER_CONFIG`` or ``~/.docker``. What is found goes into the pull and nowhere else.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cri import references
from cri.errors import FailedPrecondition
from cri.v1 import api_pb2 as v1

_HELPER_SECONDS = 30.0
_DOCKER_HUB = ("docker.io", "index.docker.io")
_TOKEN = "<token>"  # noqa: S105 - what helpers answer as user name when the secret is an identity token


def find(image: str, environ: Mapping[str, str] = os.environ) -> v1.AuthConfig | None:
    """The credentials for ``image``; None: there are none. Blocks: it reads files, and may run a helper.

    Raises FailedPrecondition, which names the file but nothing in it, where one cannot be understood.
    """
    reference = references.parse(image)
    for path in _places(environ):
        try:
            content = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise FailedPrecondition(
                f"{path}: cannot be read as registry credentials: {type(error).__name__}"
            ) from None
        if isinstance(content, dict) and (found := _in_file(content, reference.domain, reference.path, path)):
            return found
    return None


def _places(environ: Mapping[str, str]) -> Iterator[Path]:
    if named := environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    home = environ.get("HOME", "/nonexistent")
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers/auth.json")
    yield Path(environ.get("XDG_CONFIG_HOME") or Path(home, ".config"), "containers/auth.json")
    yield Path(environ.get("DOCKER_CONFIG") or Path(home, ".docker"), "config.json")


def _in_file(content: Mapping[str, Any], domain: str, path: str, file: Path) -> v1.AuthConfig | None:
    """What a file has for a repository: the longest key that leads to it, be it from a helper."""
    entries = {_bare(key): entry for key, entry in _table(content, "auths").items()}
    helpers = {_bare(key): name for key, name in _table(content, "credHelpers").items()}
    domains = _DOCKER_HUB if domain in _DOCKER_HUB else (domain,)
    parts = path.split("/")
    for length in range(len(parts), -1, -1):
        for one in domains:
            key = "/".join([one, *parts[:length]])
            if helper := helpers.get(key):
                return _from_helper(str(helper), one, file)
            entry = entries.get(key)
            if isinstance(entry, dict) and (found := _from_entry(entry)):
                return found
            if key in entries and (store := content.get("credsStore")):
                asked = "https://index.docker.io/v1/" if domain in _DOCKER_HUB else one
                return _from_helper(str(store), asked, file)
    return None


def _table(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def _bare(key: str) -> str:
    """``https://index.docker.io/v1/`` -> ``index.docker.io``."""
    return re.sub(r"/v[12]/?$", "", re.sub(r"^https?://", "", key)).rstrip("/")


def _from_entry(entry: Mapping[str, Any]) -> v1.AuthConfig | None:
    said = {"auth": "auth", "identitytoken": "identity_token", "username": "username", "password": "password"}
    values = {ours: entry[key] for key, ours in said.items() if isinstance(entry.get(key), str) and entry[key]}
    return v1.AuthConfig(**values) if values else None


def _from_helper(name: str, registry: str, file: Path) -> v1.AuthConfig | None:
    """Ask ``docker-credential-NAME``, a program of the user's. None where it has nothing for the registry."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise FailedPrecondition(f"{file}: {name!r} is no name of a credential helper")
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"], input=registry.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
        told = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise FailedPrecondition(f"{file}: {program} gives no credentials: {type(error).__name__}") from None
    user, secret = told.get("Username", ""), told.get("Secret", "")
    if not secret:
        return None
    if user == _TOKEN:
        return v1.AuthConfig(identity_token=secret)
    return v1.AuthConfig(username=user, password=secret)
