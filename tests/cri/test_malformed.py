"""Bytes that no client of CRI would send, at the gRPC port: the server answers the next call as if nothing happened."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

import cri
from cri.rpc import RPCS, Rpc
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import raw_channel, scripted

MALFORMED = [
    pytest.param(b"\xff" * 100, id="ones"),
    pytest.param(b"\x0a\xff\xff\xff\xff\x0f", id="a field of four gigabytes"),
    pytest.param(b"\x0a\x05ab", id="a field cut short"),
    pytest.param(b"\x0a\x02\xff\xfe", id="text that is no UTF-8"),
    pytest.param(b"\x0b" * 100_000, id="groups within groups"),
    pytest.param(b"\x08" + b"\x80" * 20, id="a number without end"),
]


@pytest.mark.parametrize("message", MALFORMED)
async def test_a_malformed_message_leaves_the_server_answering(message: bytes, address: str) -> None:
    async with cri.serve(scripted(), address), raw_channel(address) as channel:
        for rpc in RPCS:
            await outcome(channel, rpc, message)
        async with cri.connect(address) as client:
            assert await client.version(v1.VersionRequest()) == v1.VersionResponse()


async def test_a_malformed_message_is_answered_with_an_error_of_the_protocol(address: str) -> None:
    async with cri.serve(scripted(), address), raw_channel(address) as channel:
        version = next(rpc for rpc in RPCS if rpc.attribute == "version")
        assert await outcome(channel, version, b"\x0a\x05ab") in (
            grpc.StatusCode.INTERNAL,
            grpc.StatusCode.INVALID_ARGUMENT,
        )


async def test_two_thousand_random_messages_leave_the_server_answering(address: str) -> None:
    rng = random.Random(20)
    async with cri.serve(scripted(), address), raw_channel(address) as channel:
        for _ in range(20):
            calls = (outcome(channel, rng.choice(RPCS), rng.randbytes(rng.randrange(200))) for _ in range(100))
            await asyncio.gather(*calls)
        async with cri.connect(address) as client:
            assert await client.version(v1.VersionRequest()) == v1.VersionResponse()


async def outcome(channel: Any, rpc: Rpc, message: bytes) -> grpc.StatusCode:
    """How a call ends that is given ``message`` as it is; a stream is read to its end."""
    call = (channel.unary_stream if rpc.streaming else channel.unary_unary)(rpc.path)(message)
    code: grpc.StatusCode = await call.code()
    return code


def garbage() -> Iterator[bytes]:
    yield b"\0" * 1000
    yield b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield preface
    yield preface + os.urandom(1000)
    yield preface + b"\0\0\0\4\0\0\0\0\0" + b"\xff\xff\xff\1\4\0\0\0\1" + os.urandom(100)
    for size in range(1, 2000, 100):
        yield os.urandom(size)


async def test_garbage_at_the_port_leaves_the_server_answering(address: str) -> None:
    path = address.removeprefix("unix://")
    async with cri.serve(scripted(), address), cri.connect(address) as client:
        for data in garbage():
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(data)
                writer.write_eof()
                await reader.read()
            except OSError:
                continue  # it hung up while we still talked
            finally:
                writer.close()
        assert await client.version(v1.VersionRequest()) == v1.VersionResponse()


async def test_a_client_that_says_nothing_holds_nobody_up(address: str) -> None:
    async with cri.serve(scripted(), address), cri.connect(address) as client:
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(address.removeprefix("unix://"))
            assert await client.version(v1.VersionRequest()) == v1.VersionResponse()
