"""The networks of the native engine: namespaces, bridges, addresses, published ports, names."""

from __future__ import annotations

from runtimes.native.network import cni, leases
from runtimes.native.network.attachment import Attachment
from runtimes.native.network.networks import Networks

SCHEMA = leases.SCHEMA + cni.SCHEMA

__all__ = ["SCHEMA", "Attachment", "Networks"]
