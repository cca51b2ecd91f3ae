"""Who may talk to whom: mutual TLS for ``host:port``, and the only exception to it.

A Unix socket is guarded by its file mode and needs no TLS. A TCP address needs certificates on both sides, except
plaintext on loopback when the caller says ``insecure=True``.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
from pydantic import BaseModel, ConfigDict

from cri.addresses import Address, TcpAddress, UnixAddress
from cri.errors import InvalidArgument


class Tls(BaseModel):
    """One side's half of mutual TLS. The same three files serve a server and a client."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cert: Path
    """PEM file: this side's certificate, followed by its intermediates."""
    key: Path
    """PEM file: the private key of ``cert``, not encrypted."""
    ca: Path
    """PEM file: the authorities that the other side's certificate must come from."""
    server_name: str = ""
    """Client only: the name expected in the server's certificate where it differs from the address."""


def server_credentials(address: Address, tls: Tls | None, insecure: bool) -> grpc.ServerCredentials | None:
    """What a server at ``address`` asks of its clients; None is plaintext. Raises InvalidArgument."""
    if not _needs_tls(address, tls, insecure) or tls is None:
        return None
    cert, key, ca = _read(tls)
    server_context(tls)
    return grpc.ssl_server_credentials([(key, cert)], root_certificates=ca, require_client_auth=True)


def channel_credentials(address: Address, tls: Tls | None, insecure: bool) -> grpc.ChannelCredentials | None:
    """What a client of ``address`` shows and expects; None is plaintext. Raises InvalidArgument."""
    if not _needs_tls(address, tls, insecure) or tls is None:
        return None
    cert, key, ca = _read(tls)
    client_context(tls)
    return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)


def _needs_tls(address: Address, tls: Tls | None, insecure: bool) -> bool:
    match address:
        case UnixAddress():
            return False
        case TcpAddress() if tls is not None and insecure:
            raise InvalidArgument(f"address {address}: tls and insecure are both given; choose one")
        case TcpAddress() if tls is not None:
            return True
        case TcpAddress() if insecure and address.is_loopback:
            return False
        case TcpAddress() if insecure:
            raise InvalidArgument(
                f"address {address}: plaintext is allowed on loopback only (127.0.0.1, [::1], localhost);"
                " give tls (cert, key, ca) instead of insecure"
            )
        case _:
            raise InvalidArgument(
                f"address {address}: a TCP address needs tls (cert, key, ca); plaintext needs insecure and loopback,"
                " and a unix:///path needs neither"
            )


def server_context(tls: Tls) -> ssl.SSLContext:
    """Mutual TLS for a server that is not gRPC's. Raises InvalidArgument for files that cannot be used."""
    context = _context(tls, ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """Its client's side; the server's certificate has to name the host that is called. Raises InvalidArgument."""
    return _context(tls, ssl.PROTOCOL_TLS_CLIENT)


def _context(tls: Tls, protocol: int) -> ssl.SSLContext:
    """Made for gRPC too, which would only say later, in a log line, that something is wrong with a file."""
    _read(tls)
    context = ssl.SSLContext(protocol)
    try:
        context.load_verify_locations(cafile=tls.ca)
    except ssl.SSLError as error:
        raise InvalidArgument(f"tls.ca {str(tls.ca)!r} holds no certificate in PEM form") from error
    try:
        # An encrypted key would make OpenSSL ask at the terminal; an empty password makes it fail instead.
        context.load_cert_chain(tls.cert, tls.key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise InvalidArgument(
            f"tls.cert {str(tls.cert)!r} and tls.key {str(tls.key)!r} are not a certificate and its"
            f" unencrypted private key in PEM form: {error}"
        ) from error
    return context


def _read(tls: Tls) -> tuple[bytes, bytes, bytes]:
    return _read_file("cert", tls.cert), _read_file("key", tls.key), _read_file("ca", tls.ca)


def _read_file(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidArgument(f"tls.{name} {str(path)!r} cannot be read: {error.strerror}") from error
