"""A small web server inside, a small client outside, and what a sandbox on the host's network is made of."""

from __future__ import annotations

import asyncio

from cri.v1 import api_pb2 as v1
from tests.conformance.kit import WITHIN, eventually, shell

HOST_NETWORK = v1.LinuxPodSandboxConfig(
    security_context=v1.LinuxSandboxSecurityContext(namespace_options=v1.NamespaceOption(network=v1.NODE))
)
MEMBER_OF_HOST = v1.LinuxContainerConfig(
    security_context=v1.LinuxContainerSecurityContext(namespace_options=v1.NamespaceOption(network=v1.NODE))
)


def httpd(page: str, where: str) -> tuple[str, ...]:
    """A command that serves ``page`` at ``where``, which is a port or an address and a port."""
    return shell(f"mkdir -p /tmp/www; echo {page} > /tmp/www/index.html; exec httpd -f -p {where} -h /tmp/www")


async def page_at(host: str, port: int, path: str = "/") -> bytes:
    """What an HTTP server on the host's side answers, once it is up."""
    return await eventually(lambda: page_now(host, port, path), f"{host}:{port} answers")


async def page_now(host: str, port: int, path: str = "/") -> bytes:
    """What it answers now; empty where it does not."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return b""
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return await asyncio.wait_for(reader.read(), WITHIN)
    except OSError:
        return b""
    finally:
        writer.close()
