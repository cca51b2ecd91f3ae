"""libnftables, the library behind nft(8), in this process. What it is given is one transaction: all or nothing."""

from __future__ import annotations

import ctypes
import json
import struct
import threading
from typing import Any

from cri.errors import CRIError, FailedPrecondition, Internal, PermissionDenied, Unimplemented
from runtimes.native.network.netlink import NETFILTER, Netlink, Request, attribute, attributes, text

_LIBRARY = "libnftables.so.1"
_JSON = 1 << 4
_GET_TABLE = 10 << 8 | 1
_INET = 1
_TABLE_NAME = 1
_HEADER = 4
"""Bytes before the attributes of a message."""

_lock = threading.Lock()
"""The library keeps some of its state in globals."""


class Nftables:
    """Thread-safe. Needs CAP_NET_ADMIN. To be closed."""

    def __init__(self) -> None:
        self._library: ctypes.CDLL | None = None
        self._context: int | None = None

    def close(self) -> None:
        """Safe to call twice; a later ``run`` begins anew."""
        with _lock:
            if self._library is not None and self._context is not None:
                self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: str) -> None:
        """``commands`` in nft's language, as one transaction. Raises Unimplemented where the library is missing,
        PermissionDenied, FailedPrecondition for a kernel without nftables, Refused."""
        self._run(commands, 0)

    def ask(self, commands: str) -> list[dict[str, Any]]:
        """The objects that a ``list`` command finds, each as nft's JSON has it. Raises like ``run``."""
        answer = self._run(commands, _JSON)
        return list(json.loads(answer)["nftables"]) if answer else []

    def _run(self, commands: str, flags: int) -> str:
        with _lock:
            library, context = self._opened()
            library.nft_ctx_output_set_flags(context, flags)
            failed = library.nft_run_cmd_from_buffer(context, commands.encode())
            answer: str = library.nft_ctx_get_output_buffer(context).decode()
            words: str = library.nft_ctx_get_error_buffer(context).decode()
        if failed:
            raise _translated(words)
        return answer

    def _opened(self) -> tuple[ctypes.CDLL, int]:
        library = self._library = self._library or _load()
        if self._context is None:
            context = library.nft_ctx_new(0)
            if not context:
                raise Internal("libnftables gave no context")
            library.nft_ctx_buffer_output(context)
            library.nft_ctx_buffer_error(context)
            self._context = context
        return library, self._context


class Refused(FailedPrecondition):
    """The kernel has not what the transaction takes for granted, or has already what it adds. Nothing was changed."""

    reason = "NFTABLES_REFUSED"


def has_table(netfilter: Netlink, name: str) -> bool:
    """Whether the table ``inet NAME`` is there: a question of microseconds. ``netfilter``: of ``open_netfilter``."""
    body = struct.pack("=BBH", _INET, 0, 0) + attribute(_TABLE_NAME, name)
    return netfilter.get(Request(_GET_TABLE, body, about=f"looking for the nftables table {name}")) is not None


def tables(netfilter: Netlink) -> list[str]:
    """The names of all tables of the family inet."""
    request = Request(_GET_TABLE, struct.pack("=BBH", _INET, 0, 0), about="listing nftables tables")
    return [text(attributes(body, _HEADER).get(_TABLE_NAME, b"")) for body in netfilter.dump(request)]


def open_netfilter() -> Netlink:
    return Netlink(NETFILTER)


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise Unimplemented(
            f"networks need {_LIBRARY}, which this host has not: install the package nftables (libnftables1)"
        ) from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def _translated(words: str) -> CRIError:
    said = " ".join(words.split())
    if "Operation not permitted" in said:
        return PermissionDenied(f"nftables needs CAP_NET_ADMIN: {said}")
    if "not supported" in said:
        return FailedPrecondition(f"this kernel's nftables lacks something that networks need: {said}")
    return Refused(f"nftables: {said}")
