"""An image registry on a loopback port, and pushing our own images to it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.host import images, ready
from tests.host.errors import EngineError, Unavailable
from tests.host.images import Image
from tests.host.slot import Slot, claim

PORTS = range(5000, 5020)
"""Docker takes plain HTTP from any port of 127.0.0.1; Podman wants them listed, see `tests.host.podman`."""
USER, PASSWORD = "minicri", "let-me-in"
_PASSWORD_BCRYPT = "$2y$05$minicriminicriminicriur/g0yUpSfxC/W/OUJWXppAAJECGxsgy"
_START_TIMEOUT = 20.0
_REQUEST_TIMEOUT = 30.0
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Registry:
    """A running registry. With `login` it serves only USER with PASSWORD."""

    port: int
    login: bool

    @property
    def host(self) -> str:
        """What an image name begins with: `127.0.0.1:5000`."""
        return f"127.0.0.1:{self.port}"

    def push(self, name: str, *variants: Image, tag: str = "latest") -> str:
        """Store an image as `name:tag` and return its digest: `HOST/name@DIGEST` pulls it too.

        No variant is the busybox image; several become an index that a client picks its platform from.
        """
        manifests = [self._push_manifest(name, image) for image in variants or (Image(),)]
        if len(manifests) == 1:
            body, media_type = manifests[0][0], _MANIFEST
        else:
            entries = [images.descriptor(body, _MANIFEST) | {"platform": system} for body, system in manifests]
            index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}
            body, media_type = json.dumps(index).encode(), _INDEX
        self._request("PUT", f"/v2/{name}/manifests/{tag}", body, {"Content-Type": media_type})
        return images.digest(body)

    def _push_manifest(self, name: str, image: Image) -> tuple[bytes, dict[str, str]]:
        for blob in (image.layer(), image.config()):
            self._push_blob(name, blob)
        manifest = image.manifest()
        path = f"/v2/{name}/manifests/{images.digest(manifest)}"
        self._request("PUT", path, manifest, {"Content-Type": _MANIFEST})
        return manifest, {"os": image.os, **image.platform()}

    def _push_blob(self, name: str, blob: bytes) -> None:
        upload = self._request("POST", f"/v2/{name}/blobs/uploads/")
        separator = "&" if "?" in upload else "?"
        path = f"{upload}{separator}digest={images.digest(blob)}"
        self._request("PUT", path, blob, {"Content-Type": "application/octet-stream"})

    def _request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> str:
        """Send a request and return the Location that it is answered with."""
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_REQUEST_TIMEOUT)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise EngineError(f"registry: {method} {path}: {answer.status} {answer.read()!r}")
            return answer.getheader("Location", "")


@contextlib.contextmanager
def local_registry(*, login: bool = False) -> Iterator[Registry]:
    """A new, empty registry on the first free port of PORTS; it and its images are gone at the end.

    Raises Unavailable when the host has no docker-registry or all ports are taken.
    """
    program = shutil.which("docker-registry")
    if program is None:
        raise Unavailable("no docker-registry on this host: install the package docker-registry")
    slot = claim()
    try:
        process, running = _start(program, slot, login)
        try:
            yield running
        finally:
            process.kill()
            process.wait()
    finally:
        slot.release()


def _start(program: str, slot: Slot, login: bool) -> tuple[subprocess.Popen[bytes], Registry]:
    log = slot.path / "registry.log"
    for port in PORTS:
        config = slot.path / "registry.json"
        config.write_text(json.dumps(_config(slot, port, login)))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "serve", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=slot.environment,
                start_new_session=True,
            )
        try:
            ready.wait_for_line(process, f"listening on 127.0.0.1:{port}", log, _START_TIMEOUT)
        except EngineError:
            if "address already in use" not in ready.tail(log):
                raise
        else:
            return process, Registry(port, login)
    raise Unavailable(f"no free port for a registry in {PORTS.start} to {PORTS.stop - 1}")


def _config(slot: Slot, port: int, login: bool) -> dict[str, object]:
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(slot.path / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if login:
        passwords = slot.path / "htpasswd"
        passwords.write_text(f"{USER}:{_PASSWORD_BCRYPT}\n")
        config["auth"] = {"htpasswd": {"realm": "minicri", "path": str(passwords)}}
    return config
