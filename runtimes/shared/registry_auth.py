"""Credentials for a registry in the form that engines take. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

from cri.errors import InvalidArgument
from cri.v1 import api_pb2 as v1

HEADER = "X-Registry-Auth"


def from_cri(auth: v1.AuthConfig) -> dict[str, str]:
    """CRI's AuthConfig as Docker's and Podman's; empty where nothing was given. Raises InvalidArgument."""
    username, password = auth.username, auth.password
    if auth.auth and not username:
        try:
            username, colon, password = base64.b64decode(auth.auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidArgument("auth.auth is not the base64 form of user:password") from error
        if not colon:
            raise InvalidArgument("auth.auth is not the base64 form of user:password")
    fields = {
        "username": username,
        "password": password.rstrip("\0"),
        "identitytoken": auth.identity_token,
        "registrytoken": auth.registry_token,
    }
    given = {key: value for key, value in fields.items() if value}
    if given and auth.server_address:
        given["serveraddress"] = auth.server_address
    return given


def header(credentials: Mapping[str, str]) -> dict[str, str]:
    """The header of a pull; empty where there are no credentials."""
    if not credentials:
        return {}
    return {HEADER: base64.urlsafe_b64encode(json.dumps(dict(credentials)).encode()).decode()}
