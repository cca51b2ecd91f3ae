"""One question to a container: does a command in it succeed, is a connection taken, a GET answered, a service serving?

Questions are plain values; ``ask`` asks one, and its answer is what is wrong. How often to ask, and what several
answers in a row mean, is for whoever asks.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from cri.errors import CRIError, DeadlineExceeded, FailedPrecondition, NotFound, Unavailable
from cri.masking import masked
from cri.runtime import Runtime
from cri.v1 import api_pb2 as v1

_SAID = 200
"""Characters of what a command printed that are passed on."""


@dataclass(frozen=True, slots=True)
class Command:
    """Inside the container; it is to exit with 0."""

    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class Get:
    """Over HTTP; a status from 200 to 399 is a good answer, and a redirect is not followed. ``host`` empty: the
    sandbox's address, here and below."""

    port: int
    path: str = "/"
    host: str = ""
    secure: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connect:
    """Over TCP."""

    port: int
    host: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """By the gRPC health protocol."""

    port: int
    service: str = ""
    host: str = ""


Question = Command | Get | Connect | Serving


async def ask(
    runtime: Runtime,
    question: Question,
    timeout: float,
    *,
    container_id: str = "",
    sandbox_id: str = "",
    hidden: Collection[str] = (),
) -> str:
    """What is wrong, without what is ``hidden``; empty: nothing. No answer within ``timeout`` seconds is wrong as well.

    Raises Unavailable, NotFound and FailedPrecondition: the runtime is away or the container is, which is not the
    container's answer.
    """
    try:
        if isinstance(question, Command):  # the runtime kills it in time; whole seconds are all it knows
            whole = math.ceil(timeout)
            async with asyncio.timeout(whole + 1):
                return await run(runtime, container_id, question.words, whole, hidden=hidden)
        async with asyncio.timeout(timeout):
            return masked(
                await _over_the_network(question, question.host or await _address(runtime, sandbox_id)), hidden
            )
    except (TimeoutError, DeadlineExceeded):
        return f"no answer within {timeout:g} s"
    except (Unavailable, NotFound, FailedPrecondition):
        raise
    except (OSError, CRIError) as error:
        return masked(str(error), hidden)


async def run(
    runtime: Runtime, container_id: str, words: Sequence[str], timeout: int, *, hidden: Collection[str] = ()
) -> str:
    """What is wrong with how a command in a container ended, with the beginning of what it printed, without what is
    ``hidden``. ``timeout`` in seconds, 0 is forever. Raises what ``exec_sync`` raises."""
    answer = await runtime.exec_sync(v1.ExecSyncRequest(container_id=container_id, cmd=words, timeout=timeout))
    printed = masked((answer.stderr or answer.stdout).decode(errors="replace"), hidden).strip()[:_SAID]
    return f"exited with code {answer.exit_code}{printed and f': {printed}'}" if answer.exit_code else ""


async def addresses(runtime: Runtime, sandbox_id: str) -> Sequence[str]:
    """Where a sandbox is reached, the first one first. Raises NotFound."""
    answer = await runtime.pod_sandbox_status(v1.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id))
    network = answer.status.network
    return [ip for ip in (network.ip, *(one.ip for one in network.additional_ips)) if ip]


async def _address(runtime: Runtime, sandbox_id: str) -> str:
    for address in await addresses(runtime, sandbox_id):
        return address
    raise OSError("the sandbox has no address")


async def _over_the_network(question: Get | Connect | Serving, host: str) -> str:
    match question:
        case Get():
            return await _get(question, host)
        case Serving():
            return await _serving(question, host)
        case _:
            _, writer = await asyncio.open_connection(host, question.port)
            writer.close()
            return ""


async def _get(question: Get, host: str) -> str:
    reader, writer = await asyncio.open_connection(host, question.port, ssl=_unchecked() if question.secure else None)
    with closing(writer):
        headers = {"Host": f"{_bracketed(host)}:{question.port}", "User-Agent": "minicri", "Accept": "*/*"}
        headers |= {"Connection": "close", **question.headers}
        lines = [f"GET {question.path} HTTP/1.1", *(f"{key}: {value}" for key, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        version, _, rest = (await reader.readline()).decode("latin-1").strip().partition(" ")
        status = rest[:3]
        if not version.startswith("HTTP/") or not status.isdecimal():
            return f"GET {question.path}: no HTTP answer"
        return "" if 200 <= int(status) < 400 else f"GET {question.path} was answered with status {rest}"


def _unchecked() -> ssl.SSLContext:
    """As the kubelet does: it is asked whether somebody answers, not who."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _serving(question: Serving, host: str) -> str:
    from grpc import aio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with aio.insecure_channel(f"{_bracketed(host)}:{question.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=question.service))
        except aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
    status: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return "" if status == "SERVING" else status


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
