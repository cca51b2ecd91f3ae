"""A container's first process, and those that join it. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1
from runtimes.native.oci.facts import ContainerRequest, HostFacts, ImageFacts, SandboxFacts
from runtimes.shared import accounts

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TERMINAL = "xterm"

_UMASK = 0o022

_FILES = 1 << 20
_PROCESSES = 1 << 22
"""Podman's limits of open files and of processes of one user, where this host lets us give as many."""


def of_container(
    request: ContainerRequest,
    sandbox: SandboxFacts,
    image: ImageFacts,
    host: HostFacts,
    rights: Mapping[str, list[str]],
) -> dict[str, Any]:
    """``process`` of the config. Raises InvalidArgument for a user that the image has not, and where there is nothing
    to run."""
    config = request.config
    context = config.linux.security_context
    return {
        "terminal": config.tty,
        "user": _user(user(context, image)),
        "args": command(config, image),
        "env": environment(config, sandbox, image),
        "cwd": working_dir(config, image),
        "capabilities": dict(rights),
        "rlimits": [
            _limit("RLIMIT_NOFILE", min(_FILES, host.files_limit)),
            _limit("RLIMIT_NPROC", min(_PROCESSES, host.processes_limit)),
        ],
        "noNewPrivileges": context.no_new_privs,
        "oomScoreAdj": max(config.linux.resources.oom_score_adj, host.process.oom_score_adj_floor),
    }


def joined(spec: Mapping[str, Any], command: Sequence[str], *, tty: bool) -> dict[str, Any]:
    """``process`` of a command that runs in the container with this config: as the container's own, with no more
    rights. Raises InvalidArgument."""
    own = spec["process"]
    env = list(own["env"])
    if tty and not any(pair.startswith("TERM=") for pair in env):
        env.append(f"TERM={TERMINAL}")
    return {**own, "args": _possible("cmd", command), "env": env, "terminal": tty}


def user(context: v1.LinuxContainerSecurityContext, image: ImageFacts) -> v1.LinuxContainerUser:
    """Who the first process is. Raises InvalidArgument for a name that the image does not know."""
    strict = context.supplemental_groups_policy == v1.Strict
    asked = accounts.asked_user(context, image.user)
    return accounts.resolve(asked, image.accounts, context.supplemental_groups, strict=strict)


def command(config: v1.ContainerConfig, image: ImageFacts) -> list[str]:
    """CRI: a command takes the place of the image's entrypoint and of its arguments."""
    words = list(config.command) or list(image.entrypoint)
    words += list(config.args) or ([] if config.command else list(image.cmd))
    if not words:
        raise InvalidArgument("config.command: nothing to run, neither the request nor the image names a program")
    return _possible("config.command", words)


def environment(config: v1.ContainerConfig, sandbox: SandboxFacts, image: ImageFacts) -> list[str]:
    """The request's variables over the image's, over what every process should have."""
    found = {"PATH": DEFAULT_PATH, "HOSTNAME": sandbox.hostname}
    if config.tty:
        found["TERM"] = TERMINAL
    found |= {name: value for name, _, value in (pair.partition("=") for pair in image.env) if name}
    try:
        found |= {pair.key: pair.value.decode() for pair in config.envs}
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            "config.envs: a value is not UTF-8, which an OCI runtime's config cannot carry"
        ) from error
    return [f"{name}={value}" for name, value in found.items()]


def working_dir(config: v1.ContainerConfig, image: ImageFacts) -> str:
    """Absolute and without ``..``: what a runtime makes of others differs. Raises InvalidArgument."""
    wanted = config.working_dir
    if wanted and not wanted.startswith("/"):
        raise InvalidArgument(f"config.working_dir: {wanted!r} is not an absolute path")
    _possible("config.working_dir", [wanted])
    return inside(wanted or image.working_dir)


def inside(path: str) -> str:
    """``path`` as seen from the root of a container, which nothing is above."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _possible(field: str, words: Iterable[str]) -> list[str]:
    found = list(words)
    for word in found:
        if "\0" in word:
            raise InvalidArgument(f"{field}: {word!r} has a NUL byte in it, where the kernel would end it")
    return found


def _user(found: v1.LinuxContainerUser) -> dict[str, Any]:
    # The primary group is among the others, too: a program that leaves it must not leave what it keeps out of.
    return {
        "uid": found.uid,
        "gid": found.gid,
        "umask": _UMASK,
        "additionalGids": list(found.supplemental_groups),
    }


def _limit(kind: str, value: int) -> dict[str, Any]:
    return {"type": kind, "soft": value, "hard": value}
