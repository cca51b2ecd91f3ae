"""Images in registries, through skopeo: it knows credentials, mirrors, certificates and policies of the host."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import ipaddress
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from cri import progress
from cri.errors import CRIError, ResourceExhausted, Unavailable, Unimplemented
from cri.platforms import Platform
from cri.progress import Progress
from cri.references import Reference
from runtimes.native import programs
from runtimes.native.images import blob_files, trust
from runtimes.native.images.blob_files import BlobFile
from runtimes.native.images.failures import BadImage
from runtimes.native.images.manifests import Descriptor, digest
from runtimes.native.images.skopeo_proxy import Proxy
from runtimes.native.images.streams import PIECE
from runtimes.native.images.threads import apart
from runtimes.shared import registry_words
from runtimes.shared.inflight import uninterrupted

PATIENCE = 24 * 3600.0
"""Seconds until skopeo is given up. A pull is the caller's to bound."""

_HEEDS_POLICY = (0, 2, 6)
"""The first version of the proxy's protocol that looks at the host's policy by itself."""

_MESSAGE = re.compile(r'level=(?:fatal|error) msg=("(?:[^"\\]|\\.)*")')
_STEP = 1 << 20
"""Bytes between two reports of progress."""


class RegistryImage:
    """One image in a registry, as a source of the intake. An async context manager: it ends what it started.

    ``credentials`` are as ``registry_auth.from_cri`` makes them; without any, those of the host's logins are used.
    """

    def __init__(
        self,
        reference: Reference,
        credentials: Mapping[str, str],
        *,
        wanted: Platform | None = None,
        registries_conf: str = "",
    ) -> None:
        """Raises Unimplemented for credentials that skopeo cannot be told in secret."""
        if credentials.get("registrytoken"):
            raise Unimplemented(
                "auth.registry_token: skopeo takes it on its command line only, for every user of the host to read"
            )
        self._reference = reference
        self._credentials = credentials
        self._wanted = wanted
        self._registries_conf = registries_conf
        self._top = ""
        self._auth_file = -1
        self._idle: list[Proxy] = []

    async def __aenter__(self) -> Self:
        if self._credentials:
            # In memory: a password is never on the disk.
            self._auth_file = os.memfd_create("auth.json", os.MFD_CLOEXEC)
            os.write(self._auth_file, _auth_document(self._reference.domain, self._credentials))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in self._idle:
            proxy.kill()
        if self._auth_file >= 0:
            os.close(self._auth_file)

    async def manifest(self, digest_: str | None) -> bytes:
        """See ``Source``."""
        command = self._command("inspect", "--raw", self._place(digest_ or ""))
        ended = await programs.run(command, timeout=PATIENCE, pass_fds=self._pass_fds())
        if ended.code:
            raise self._failure(ended.words)
        if digest_ is None:
            self._top = digest(ended.stdout)
            if self._reference.digest not in ("", self._top):
                raise BadImage(f"image {self._reference} cannot be pulled: the registry gave {self._top}")
        return ended.stdout

    async def blob(self, descriptor: Descriptor, target: Path) -> Path:
        """See ``Source``. Several may be fetched at once."""
        proxy = self._idle.pop() if self._idle else await self._start()
        try:
            stored = await self._fetch(proxy, descriptor, target)
        except Unavailable as error:
            proxy.kill()
            raise self._failure(error.message) from error
        except BaseException:
            proxy.kill()
            raise
        self._idle.append(proxy)
        return blob_files.require(stored, descriptor)

    async def _start(self) -> Proxy:
        proxy = Proxy(self._command("experimental-image-proxy"), os.environ, self._pass_fds())
        try:
            version = await proxy.initialize()
            policy = trust.policy_file()
            if policy and version < _HEEDS_POLICY:
                trust.require_anything_goes(policy, self._reference)
            await proxy.open_image(self._place(self._top))
        except Unavailable as error:
            proxy.kill()
            raise self._failure(error.message) from error
        except BaseException:
            proxy.kill()
            raise
        return proxy

    async def _fetch(self, proxy: Proxy, descriptor: Descriptor, target: Path) -> BlobFile:
        pipe, number = await proxy.open_blob(descriptor)
        report = _reporter(str(self._reference), descriptor)
        storing = asyncio.create_task(apart(partial(_stored, pipe, target, report)))
        try:
            await proxy.finish(number)
        except BaseException:
            proxy.kill()  # only then does a pipe end that is not full
            (stored,) = await uninterrupted(asyncio.gather(storing, return_exceptions=True))
            if isinstance(stored, ResourceExhausted):
                raise stored from None  # skopeo only knows that nobody reads any more
            raise
        return await storing

    def _command(self, *words: str) -> list[str]:
        options = [] if trust.policy_file() else ["--insecure-policy"]
        if self._registries_conf:
            options += ["--registries-conf", self._registries_conf]
        if self._wanted:
            options += ["--override-os", self._wanted.os, "--override-arch", self._wanted.architecture]
            options += ["--override-variant", self._wanted.variant] if self._wanted.variant else []
        verb, *rest = words
        if self._auth_file >= 0:
            # Opened anew by every process, so that each reads from the beginning.
            rest = ["--authfile", f"/proc/self/fd/{self._auth_file}", *rest]
        if _is_loopback(self._reference.domain):
            rest = ["--tls-verify=false", *rest]
        # A registry may keep skopeo waiting for ever: it is not to do so for a process that is gone.
        return [*programs.told_of_our_death(signal.SIGKILL), "skopeo", *options, verb, *rest]

    def _pass_fds(self) -> list[int]:
        return [self._auth_file] if self._auth_file >= 0 else []

    def _place(self, digest_: str) -> str:
        """The image with that digest in the repository; empty: the one that was asked for."""
        wanted = digest_ or self._reference.digest
        return f"docker://{self._reference.name}" + (f"@{wanted}" if wanted else f":{self._reference.tag}")

    def _failure(self, words: str) -> CRIError:
        told = _MESSAGE.findall(words)
        text = _unquoted(told[-1]) if told else words
        cls = registry_words.error_class(text) or Unavailable
        what = f"image {self._reference}" + (f" for {self._wanted}" if self._wanted else "")
        return cls(f"{what} cannot be pulled: {text}")


def _auth_document(domain: str, credentials: Mapping[str, str]) -> bytes:
    pair = f"{credentials.get('username', '')}:{credentials.get('password', '')}"
    entry = {"auth": base64.b64encode(pair.encode()).decode()}
    if credentials.get("identitytoken"):
        entry["identitytoken"] = credentials["identitytoken"]
    return json.dumps({"auths": {domain: entry}}).encode()


def _is_loopback(domain: str) -> bool:
    """A registry on this machine may speak plain HTTP, as with Docker; beyond, registries.conf has to say so."""
    host = domain.rpartition(":")[0] if re.search(r":[0-9]+$", domain) else domain
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _reporter(image: str, descriptor: Descriptor) -> Callable[[int], None]:
    """Tells from a thread how many bytes of a blob are there."""
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    layer = descriptor.digest.partition(":")[2][:12]

    def report(current: int) -> None:
        step = Progress(image, layer, "downloading", current, descriptor.size)
        loop.call_soon_threadsafe(progress.report, step, context=context)

    return report


def _stored(pipe: int, target: Path, report: Callable[[int], None], stop: threading.Event) -> BlobFile:
    try:
        return blob_files.written(target, _pieces(pipe, report), stop)
    finally:
        os.close(pipe)


def _pieces(pipe: int, report: Callable[[int], None]) -> Iterator[bytes]:
    current = told = 0
    while piece := os.read(pipe, PIECE):
        yield piece
        current += len(piece)
        if current - told >= _STEP:
            report(current)
            told = current
    report(current)


def _unquoted(text: str) -> str:
    """What Go's %q made of a line."""
    try:
        return str(json.loads(text))
    except ValueError:
        return text.strip('"')
