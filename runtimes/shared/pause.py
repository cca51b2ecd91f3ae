"""The program that holds a sandbox's namespaces, and the image it comes in: made from nothing, with no registry.

Pure. A sandbox needs one process that lives until it is told to end and that takes in orphans when the containers
share its process namespace. In C it would read::

    sigaction(SIGCHLD, {SIG_IGN, SA_NOCLDWAIT});   // the kernel reaps orphans, nobody has to wait for them
    sigprocmask(SIG_BLOCK, {SIGINT, SIGTERM});     // process 1 ignores signals it has no handler for: wait for them
    while (sigtimedwait({SIGINT, SIGTERM}) < 0);   // a stop signal (SIGSTOP, SIGCONT) interrupts the wait
    exit_group(0);

It is written here as machine code for the two architectures, without a libc, in an ELF file of one segment.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile

from cri.errors import Unimplemented

REPOSITORY = "localhost/minicri/pause"
TAG = "1"
NAME = f"{REPOSITORY}:{TAG}"
PROGRAM = "/pause"
USER = "65535:65535"
"""Nobody's ids: the program needs no right at all."""

ARCHITECTURES = ("amd64", "arm64")

_BASE = 0x400000
_ELF_HEADER = 64
_PROGRAM_HEADER = 56
_ACTION = _BASE + _ELF_HEADER + 2 * _PROGRAM_HEADER
_SET = _ACTION + 32
_CODE = _SET + 8

_SIGINT, _SIGTERM, _SIGCHLD = 2, 15, 17
_SIG_IGN, _SA_NOCLDWAIT = 1, 2
_SIG_BLOCK = 0
_SIGSET_SIZE = 8

_DATA = struct.pack("<QQQQ", _SIG_IGN, _SA_NOCLDWAIT, 0, 0) + struct.pack("<Q", 1 << _SIGINT - 1 | 1 << _SIGTERM - 1)
"""The kernel's sigaction (handler, flags, restorer, mask), then the set of the two signals."""


def _amd64() -> bytes:
    eax, edx, esi, edi = 0xB8, 0xBA, 0xBE, 0xBF

    def load(register: int, value: int) -> bytes:  # mov r32, imm32: the upper half of the register becomes zero
        return bytes([register]) + struct.pack("<I", value)

    load_r10d = b"\x41\xba" + struct.pack("<I", _SIGSET_SIZE)  # mov r10d, 8: the fourth argument
    syscall = b"\x0f\x05"
    ignore = (
        load(eax, 13) + load(edi, _SIGCHLD) + load(esi, _ACTION) + load(edx, 0) + load_r10d + syscall  # rt_sigaction
    )
    block = (
        load(eax, 14) + load(edi, _SIG_BLOCK) + load(esi, _SET) + load(edx, 0) + load_r10d + syscall  # rt_sigprocmask
    )
    wait = load(eax, 128) + load(edi, _SET) + load(esi, 0) + load(edx, 0) + load_r10d + syscall  # rt_sigtimedwait
    wait += b"\x85\xc0"  # test eax, eax
    wait += b"\x78" + struct.pack("<b", -(len(wait) + 2))  # js: a negative answer is an error, wait again
    leave = load(eax, 231) + load(edi, 0) + syscall  # exit_group
    return ignore + block + wait + leave


def _arm64() -> bytes:
    x8 = 8  # the number of the system call goes there, the arguments into x0 to x3

    def load(register: int, value: int) -> bytes:
        low = 0xD2800000 | (value & 0xFFFF) << 5 | register  # movz x, low half
        high = 0xF2A00000 | (value >> 16) << 5 | register  # movk x, high half, lsl 16
        return struct.pack("<II", low, high)

    def call(number: int, *arguments: int) -> bytes:
        loads = b"".join(load(register, value) for register, value in enumerate(arguments))
        return loads + load(x8, number) + struct.pack("<I", 0xD4000001)  # svc 0

    ignore = call(134, _SIGCHLD, _ACTION, 0, _SIGSET_SIZE)  # rt_sigaction
    block = call(135, _SIG_BLOCK, _SET, 0, _SIGSET_SIZE)  # rt_sigprocmask
    wait = call(137, _SET, 0, 0, _SIGSET_SIZE)  # rt_sigtimedwait
    back = -(len(wait) // 4) & 0x3FFF  # distance in instructions, in 14 bits
    wait += struct.pack("<I", 0xB7F80000 | back << 5)  # tbnz x0, 63: a negative answer is an error, wait again
    return ignore + block + wait + call(94, 0)  # exit_group


_MACHINES = {"amd64": (62, _amd64), "arm64": (183, _arm64)}


def program(architecture: str) -> bytes:
    """The ELF file for ``architecture`` (an OCI name). Raises Unimplemented for one that nobody wrote it for."""
    if architecture not in _MACHINES:
        raise Unimplemented(
            f"there is no pause program for architecture {architecture!r}; there is one for {', '.join(ARCHITECTURES)}"
        )
    machine, code = _MACHINES[architecture]
    body = _DATA + code()
    size = _CODE - _BASE - len(_DATA) + len(body)
    ident = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)  # 64 bit, little endian, version 1, System V
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, _CODE, _ELF_HEADER, 0, 0, _ELF_HEADER, _PROGRAM_HEADER, 2, 0, 0, 0
    )
    readable, writable, executable, load, gnu_stack = 4, 2, 1, 1, 0x6474E551
    segment = struct.pack("<IIQQQQQQ", load, readable | executable, 0, _BASE, _BASE, size, size, 0x10000)
    # Without this one the kernel would give the program an executable stack.
    stack = struct.pack("<IIQQQQQQ", gnu_stack, readable | writable, 0, 0, 0, 0, 0, 16)
    return header + segment + stack + body


def docker_archive(architecture: str, name: str = NAME) -> bytes:
    """An image of ``program`` alone, named ``name``, as ``docker load`` and ``podman load`` read it.

    The same bytes each time, so the image has one id everywhere.
    """
    layer = _tar({PROGRAM.lstrip("/"): (program(architecture), 0o755)})
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Entrypoint": [PROGRAM], "User": USER},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "minicri"}],
        },
        sort_keys=True,
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    return _tar({config_name: (config, 0o644), "layer.tar": (layer, 0o644), "manifest.json": (manifest, 0o644)})


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
