"""Programs that make one system call and end with its error number, written as machine code: no compiler is needed."""

from __future__ import annotations

import struct

from tests.host.images import host_architecture

_BASE, _HEADERS = 0x400000, 64 + 56
_MACHINES = {"amd64": 62, "arm64": 183}
_NUMBERS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "quotactl": (179, 60),
    "setuid": (105, 146),
    "settimeofday": (170, 170),
    "socket": (41, 198),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}


def known() -> bool:
    """Whether programs can be written for this machine."""
    return host_architecture() in _MACHINES


def program(call: str, *arguments: int | bytes) -> bytes:
    """An ELF file. It exits with 0 when the call succeeded; ``bytes`` are handed over as a pointer to them."""
    architecture = host_architecture()
    of_amd64, of_arm64 = _NUMBERS[call]
    code = _amd64 if architecture == "amd64" else _arm64
    number = of_amd64 if architecture == "amd64" else of_arm64
    where = _BASE + _HEADERS + len(code(number, [0] * len(arguments)))
    values, data = [], b""
    for argument in arguments:
        if isinstance(argument, bytes):
            values.append(where + len(data))
            data += argument + b"\0"
        else:
            values.append(argument)
    body = code(number, values) + data
    size = _HEADERS + len(body)
    start = _BASE + _HEADERS
    ident = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header = struct.pack("<HHIQQQIHHHHHH", 2, _MACHINES[architecture], 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    return ident + header + segment + body


def _amd64(number: int, values: list[int]) -> bytes:
    registers = (b"\xbf", b"\xbe", b"\xba", b"\x41\xba", b"\x41\xb8", b"\x41\xb9")  # mov r32, imm32
    loads = b"".join(
        register + struct.pack("<I", value & 0xFFFFFFFF) for register, value in zip(registers, values, strict=False)
    )
    call = loads + b"\xb8" + struct.pack("<I", number) + b"\x0f\x05"
    clamp = b"\x85\xc0\x78\x02\x31\xc0"  # what is not negative becomes 0
    return call + clamp + b"\xf7\xd8\x89\xc7\xb8" + struct.pack("<I", 231) + b"\x0f\x05"  # exit_group(-result)


def _arm64(number: int, values: list[int]) -> bytes:
    def load(register: int, value: int) -> bytes:
        low = 0xD2800000 | (value & 0xFFFF) << 5 | register
        high = 0xF2A00000 | (value >> 16 & 0xFFFF) << 5 | register
        return struct.pack("<II", low, high)

    loads = b"".join(load(register, value) for register, value in enumerate(values))
    call = loads + load(8, number) + struct.pack("<I", 0xD4000001)
    clamp = struct.pack("<II", 0xB7F80000 | 2 << 5, 0xD2800000)  # tbnz x0, 63 over: movz x0, 0
    return call + clamp + struct.pack("<I", 0xCB0003E0) + load(8, 94) + struct.pack("<I", 0xD4000001)
