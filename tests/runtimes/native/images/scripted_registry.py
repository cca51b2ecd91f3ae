"""A registry that counts, waits and breaks off as a test says. It serves what it was given, to anyone, without TLS."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtimes.native.images.manifests import OCI_INDEX, OCI_MANIFEST
from tests.host import images
from tests.runtimes.native.images import kit
from tests.runtimes.native.images.kit import Layered

TLS_HANDSHAKE = b"\x16"


class ScriptedRegistry:
    def __init__(self) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()
        """How often each digest or tag was asked for."""

        self.held: set[str] = set()
        """Blobs of which the first half comes, and then nothing until `released`."""

        self.cut: set[str] = set()
        """Blobs of which the first half comes, and then the connection ends."""

        self.waiting = asyncio.Event()
        """Set once half of a held blob is out."""

        self.released = asyncio.Event()
        self._answers: dict[str, tuple[bytes, str]] = {}

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, name: str, *members: Layered, tag: str = "latest") -> str:
        """Serve an image, or an index of several; its digest."""
        for member in members:
            for blob in member.blobs:
                self._answers[f"/v2/{name}/blobs/{images.digest(blob)}"] = (blob, "application/octet-stream")
            self._add_manifest(name, member.manifest(), OCI_MANIFEST)
        if len(members) == 1:
            body, kind = members[0].manifest(), OCI_MANIFEST
        else:
            body, kind = kit.index(*members), OCI_INDEX
            self._add_manifest(name, body, kind)
        self._answers[f"/v2/{name}/manifests/{tag}"] = (body, kind)
        return images.digest(body)

    def serve_instead(self, name: str, digest: str, body: bytes) -> None:
        """Lie about a manifest."""
        self._answers[f"/v2/{name}/manifests/{digest}"] = (body, OCI_MANIFEST)

    def _add_manifest(self, name: str, body: bytes, kind: str) -> None:
        self._answers[f"/v2/{name}/manifests/{images.digest(body)}"] = (body, kind)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if (start := await reader.readexactly(1)) == TLS_HANDSHAKE:
                return  # so that the client tries it without
            while head := await reader.readuntil(b"\r\n\r\n"):
                words = (start + head).split()
                if not await self._answer(words[1].decode(), words[0] == b"HEAD", writer):
                    break
                start = b""
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client went
        finally:
            writer.close()

    async def _answer(self, path: str, is_head: bool, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        subject = path.rpartition("/")[2]
        if path == "/v2/":
            body, kind, status = b"{}", "application/json", "200 OK"
        elif path in self._answers:
            self.asked[subject] += 1
            (body, kind), status = self._answers[path], "200 OK"
        else:
            body, kind = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}', "application/json"
            status = "404 Not Found"
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        half = len(body) // 2
        writer.write(head.encode())
        if is_head:
            return True
        writer.write(body[:half])
        await writer.drain()
        if subject in self.cut:
            return False
        if subject in self.held:
            self.waiting.set()
            await self.released.wait()
        writer.write(body[half:])
        await writer.drain()
        return True


@asynccontextmanager
async def scripted_registry() -> AsyncIterator[ScriptedRegistry]:
    made = ScriptedRegistry()
    async with await asyncio.start_server(made.answer, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        try:
            yield made
        finally:
            made.released.set()
