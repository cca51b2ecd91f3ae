"""Inputs for parsers: seeded, so that an input is known by its number, and cut into pieces as a network would."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable, Iterator, Sequence

from cri.streaming.spdy import frames
from cri.streaming.spdy.headers import HeaderEncoder

INPUTS = int(os.environ.get("TEST_FUZZ_INPUTS", "100000"))
"""Inputs of one run over all parsers together. A night's run takes TEST_FUZZ_INPUTS=10000000."""

SLOWEST = 1.0
"""Seconds of processor time that one input may take; all are at most a few kilobytes long."""

_INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\x80\x03",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\r\n",
    b",",
    b":",
)

Pieces = list[bytes]


def fuzz(name: str, share: float, run: Callable[[random.Random], None]) -> None:
    """Call ``run`` for ``share`` of the inputs. What it raises is raised with the input's number in it."""
    for number in range(int(INPUTS * share)):
        began = time.thread_time()
        try:
            run(random.Random(f"{name} {number}"))
        except BaseException as error:
            error.add_note(f"{name}: input {number}")
            raise
        took = time.thread_time() - began
        assert took < SLOWEST, f"{name}: input {number} took {took:.1f} s"


def cut(rng: random.Random, wire: bytes) -> Iterator[bytes]:
    """``wire`` in up to four pieces."""
    cuts = sorted(rng.randrange(len(wire) + 1) for _ in range(rng.randrange(4)))
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        yield wire[start:end]


def mutated(rng: random.Random, wire: bytes) -> bytes:
    """``wire`` with up to eight changes, often none."""
    changed = bytearray(wire)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(changed):
                changed[at] = rng.randrange(256)
            case 2:
                del changed[at : at + rng.randrange(1, 9)]
            case 3:
                changed[at:at] = rng.choice(_INTERESTING)
            case 4:
                changed[at:at] = changed[at : at + rng.randrange(1, 65)]
            case _:
                changed[at:at] = rng.randbytes(rng.randrange(1, 17))
    return bytes(changed)


# --- SPDY ------------------------------------------------------------------------------------------------------------

_NAMES = (*("streamtype", "port", "requestid") * 8, "Streamtype", "", "x" * 300)
_VALUES = ("error", "data", "stdin", "stdout", "resize", "80", "", "\xff\0", "x" * 300)


def spdy_session(rng: random.Random) -> bytes:
    """Frames with mostly sensible fields, in any order, whose header blocks belong together."""
    encoder = HeaderEncoder()
    opened = [1]
    session = frames.SynStream(1, encoder.encode(_spdy_headers(rng))).encode()
    return session + b"".join(_spdy_frame(rng, encoder, opened) for _ in range(rng.randrange(7)))


def _spdy_frame(rng: random.Random, encoder: HeaderEncoder, opened: list[int]) -> bytes:
    stream_id = rng.choice(opened) if rng.random() < 0.95 else rng.choice((0, 2, frames.MAX_STREAM_ID))
    fin = rng.random() < 0.2
    match rng.randrange(10):
        case 0 | 1:
            opened.append(opened[-1] + 2 if rng.random() < 0.95 else rng.choice((0, 1, 2, opened[-1] + 1000)))
            block = encoder.encode(_spdy_headers(rng))
            return frames.SynStream(opened[-1], block, fin=fin, unidirectional=rng.random() < 0.05).encode()
        case 2:
            return frames.SynReply(stream_id, encoder.encode(_spdy_headers(rng)), fin=fin).encode()
        case 3:
            return frames.Headers(stream_id, encoder.encode(_spdy_headers(rng)), fin=fin).encode()
        case 4:
            return frames.RstStream(stream_id, rng.randrange(1, 12)).encode()
        case 5:
            return rng.choice((frames.Ping(rng.randrange(4)), frames.GoAway(0), frames.WindowUpdate(0, 1))).encode()
        case 6 if rng.random() < 0.3:
            head = struct.pack(">HHI", 0x8003, rng.randrange(12), rng.randrange(64))
            return head + rng.randbytes(rng.randrange(64))
        case _:
            return frames.Data(stream_id, rng.randbytes(rng.randrange(20)), fin=fin).encode()


def _spdy_headers(rng: random.Random) -> dict[str, str]:
    return {rng.choice(_NAMES): rng.choice(_VALUES) for _ in range(rng.randrange(3))}


# --- WebSocket -------------------------------------------------------------------------------------------------------

_PAYLOADS = (
    b"",
    b"\x00",
    b"\x00input",
    b'\x04{"Width":80,"Height":24}',
    b"\xff\x00",
    b"0aW5wdXQ=",
    b"\x03\xe8",
    b"\xff\xff",
)


def websocket_session(rng: random.Random, *, masked: bool) -> bytes:
    return b"".join(_websocket_frame(rng, masked) for _ in range(rng.randrange(1, 6)))


def _websocket_frame(rng: random.Random, masked: bool) -> bytes:
    opcode = rng.choice((0, 1, 2, 2, 2, 8, 9, 10, rng.randrange(16)))
    payload = rng.choice(_PAYLOADS) if rng.random() < 0.8 else rng.randbytes(rng.randrange(200))
    flags = 0x80 if rng.random() < 0.8 else rng.randrange(16) << 4
    mask = rng.randbytes(4) if masked else b""
    length = len(payload) if rng.random() < 0.9 else rng.choice((0, 125, 126, 127))
    head = bytes((flags | opcode, length | 0x80 * masked))
    if length == 126:
        head += struct.pack(">H", rng.choice((len(payload), 0xFFFF)))
    elif length == 127:
        head += struct.pack(">Q", rng.choice((len(payload), 1 << 63, (1 << 63) - 1)))
    if masked:
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return head + mask + payload


# --- HTTP ------------------------------------------------------------------------------------------------------------

_LINES = (
    "Host: h",
    "Connection: keep-alive, Upgrade",
    "Upgrade: SPDY/3.1",
    "Upgrade: websocket",
    "X-Stream-Protocol-Version: ,v9,,",
    "Sec-WebSocket-Version: 8",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io",
    "Sec-WebSocket-Extensions: permessage-deflate",
    "Content-Length: 0",
    "Content-Length: 3",
    "Transfer-Encoding: chunked",
    "X: \xe4\xff",
)
_REQUESTS = (
    (
        "POST /exec/token HTTP/1.1",
        "Connection: Upgrade",
        "Upgrade: SPDY/3.1",
        "X-Stream-Protocol-Version: v4.channel.k8s.io",
    ),
    (
        "GET /exec/token HTTP/1.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io",
    ),
    ("GET /portforward/token?x HTTP/1.0", "Connection: Upgrade"),
    ("HEAD / HTTP/1.1",),
    ("CONNECT h:1 HTTP/1.1",),
)
_RESPONSES = (
    ("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: SPDY/3.1"),
    (
        "HTTP/1.1 101 Switching Protocols",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Protocol: v5.channel.k8s.io",
    ),
    ("HTTP/1.1 404 Not Found", "Content-Length: 2"),
    ("HTTP/1.0 200 OK",),
    ("HTTP/1.1 100 Continue",),
)


def http_request(rng: random.Random) -> bytes:
    return _http_head(rng, (*_REQUESTS[:2], *_REQUESTS), "Host: h") + rng.choice((b"", b"\x80\x03"))


def http_response(rng: random.Random) -> bytes:
    return _http_head(rng, _RESPONSES) + rng.choice((b"", b"no", b"3\r\nabc\r\n0\r\n\r\n"))


def _http_head(rng: random.Random, heads: Sequence[Sequence[str]], *always: str) -> bytes:
    """One of ``heads``, often with lines too many and seldom with one too few."""
    lines = [*rng.choice(heads), *always]
    if rng.random() < 0.1:
        del lines[rng.randrange(len(lines))]
    if rng.random() < 0.4:
        lines += rng.sample(_LINES, rng.randrange(4))
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
