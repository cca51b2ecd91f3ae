"""The environment of a container, put together when it is created: files, what the spec says, secrets.

What is read here goes to the runtime and nowhere else: no message, log line or record has a value in it. For what a
runtime, or a command in the container, may say of it there is ``secrets``: what is to be masked (``cri.masking``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cri.errors import FailedPrecondition
from manifests.container import Container, Secret
from manifests.spec import TaskSpec


def environment(container: Container, own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Files first, a later one winning, then ``env``, then ``secrets``; ``own`` are the orchestrator's variables.

    Reads files. Raises FailedPrecondition with the field and the way out.
    """
    said: dict[str, str] = {}
    for path in container.env_files:
        said |= _variables(path, _text(path, "env_files"))
    said |= container.env
    return said | {name: _secret(f"secrets.{name}", secret, own) for name, secret in container.secrets.items()}


def secrets(spec: TaskSpec, own: Mapping[str, str] = os.environ) -> set[str]:
    """The values of the secrets of all its containers, as far as they can be read now. Reads files."""
    found: set[str] = set()
    for name, secret in (pair for container in spec.everyone for pair in container.secrets.items()):
        with suppress(FailedPrecondition):
            found.add(_secret(name, secret, own))
    return found


def _variables(path: str, text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip() or "\0" in line:
            raise FailedPrecondition(f"env_files: {path}:{number}: write KEY=VALUE")
        found[name.strip()] = value
    return found


def _secret(field: str, secret: Secret, own: Mapping[str, str]) -> str:
    if secret.file:
        return _text(secret.file, field).removesuffix("\n").removesuffix("\r")
    if secret.env not in own:
        raise FailedPrecondition(f"{field}: the orchestrator's environment has no variable {secret.env!r}")
    return own[secret.env]


def _text(path: str, field: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise FailedPrecondition(f"{field}: {path}: {error.strerror}") from error
    except UnicodeDecodeError:  # without its cause, which quotes the value
        raise FailedPrecondition(f"{field}: {path} is not UTF-8 text") from None
