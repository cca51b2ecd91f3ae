"""Which Podman service a run uses: the one that answers already, else a private one while a `with` lasts."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from tests.host import ready
from tests.host.errors import EngineError, Unavailable
from tests.host.images import BUSYBOX, docker_archive
from tests.host.podman import private_podman

SOCKET = Path("/run/podman/podman.sock")
"""Where an engine is looked for when CONTAINER_HOST is not set."""

_STUMBLED = b"no such network interface"
"""What Podman says when an interface of somebody else's goes while it looks at all of them; asked again it works."""
_TRIES = 12

CALL_TIMEOUT = 60.0
"""Seconds."""


class PodmanEngine(Protocol):
    """What a test may ask of the Podman service that it was given."""

    @property
    def private(self) -> bool:
        """Whether the service is ours alone. Only then may it be stopped."""

    @property
    def address(self) -> str:
        """What goes into CONTAINER_HOST."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def restart(self) -> None: ...


class ExistingPodman:
    """A service that somebody else runs: used as it is, never stopped."""

    private = False

    def __init__(self, address: str) -> None:
        self.address = address

    def start(self) -> None:
        self._refuse("start")

    def stop(self) -> None:
        self._refuse("stop")

    def kill(self) -> None:
        self._refuse("kill")

    def restart(self) -> None:
        self._refuse("restart")

    def _refuse(self, verb: str) -> None:
        raise EngineError(f"will not {verb} the engine at {self.address}: it is not ours (use private_podman_engine)")


def running_podman() -> ExistingPodman | None:
    """The service at CONTAINER_HOST, or else at the system's socket, when it answers.

    Raises Unavailable when CONTAINER_HOST names one that does not answer: no other was asked for.
    """
    named = os.environ.get("CONTAINER_HOST")
    address = named or f"unix://{SOCKET}"
    with contextlib.suppress(OSError, http.client.HTTPException, EngineError):
        call(address, "GET", "/_ping", timeout=5.0)
        return ExistingPodman(address)
    if named:
        raise Unavailable(f"CONTAINER_HOST={named} does not answer: start that service, or unset CONTAINER_HOST")
    return None


@contextlib.contextmanager
def podman_engine() -> Iterator[PodmanEngine]:
    """The service that runs on this host, or a private one; with a busybox image, which goes at the end.

    Raises Unavailable when neither can be had, EngineError when the private one does not start.
    """
    with contextlib.ExitStack() as stack:
        engine: PodmanEngine = running_podman() or stack.enter_context(private_podman())
        stack.enter_context(busybox(engine))
        yield engine


@contextlib.contextmanager
def busybox(engine: PodmanEngine) -> Iterator[str]:
    """The reference of a busybox image in the engine: one that was there stays, ours goes."""
    reference = {"reference": [BUSYBOX]}
    if call(engine.address, "GET", "/images/json", {"filters": json.dumps(reference)}):
        yield BUSYBOX
        return
    load(engine.address, docker_archive(BUSYBOX))
    try:
        yield BUSYBOX
    finally:
        if not engine.private:
            call(engine.address, "DELETE", f"/images/{BUSYBOX}", {"force": "true"})


def contents(address: str) -> list[str]:
    """The engine's pods, containers outside of pods, storage without a container, networks of users, and volumes, one
    line each."""
    pods = call(address, "GET", "/pods/json") or []
    containers = call(address, "GET", "/containers/json", {"all": "true", "external": "true"}) or []
    networks = call(address, "GET", "/networks/json") or []
    volumes = call(address, "GET", "/volumes/json") or []
    return [
        *(f"pod {item['Id'][:12]} {item['Name']} {item['Status']}" for item in pods),
        *(f"container {item['Id'][:12]} {item['Names']} {item['State']}" for item in containers if not item["Pod"]),
        *(f"network {item['name']}" for item in networks if item.get("labels")),
        *(f"volume {item['Name']}" for item in volumes),
    ]


def load(address: str, archive: bytes) -> None:
    """Put the images of an archive into the engine."""
    call(address, "POST", "/images/load", body=archive)


def call(
    address: str,
    method: str,
    path: str,
    params: dict[str, str] | None = None,
    body: bytes | dict[str, Any] | None = None,
    timeout: float = CALL_TIMEOUT,
) -> Any:
    """The JSON that the engine answers, to look behind a runtime's back; None for no content. Raises EngineError."""
    target = f"/v4.0.0/libpod{path}" + (f"?{urlencode(params)}" if params else "")
    content = json.dumps(body).encode() if isinstance(body, dict) else body
    kind = "application/json" if isinstance(body, dict) else "application/x-tar"
    for _ in range(_TRIES):
        with contextlib.closing(_connection(address, timeout)) as connection:
            connection.request(method, target, content, {"Content-Type": kind})
            answer = connection.getresponse()
            said = answer.read()
        if answer.status < 400:
            break
        failure = EngineError(f"podman: {method} {path}: {answer.status} {said.decode(errors='replace')}")
        if _STUMBLED not in said:
            raise failure
    else:
        raise failure
    try:
        return json.loads(said) if said.strip() else None
    except ValueError:
        return said.decode(errors="replace")


def _connection(address: str, timeout: float) -> http.client.HTTPConnection:
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        return ready.UnixConnection(Path(rest), timeout)
    host, _, port = rest.rpartition(":")
    return http.client.HTTPConnection(host, int(port), timeout=timeout)
