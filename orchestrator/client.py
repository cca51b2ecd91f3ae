"""The client of an orchestrator at an address; made from the table, as the client of a CRI endpoint is."""

from __future__ import annotations

from google.protobuf.message import Message

from cri.addresses import default_address
from cri.client import Connection
from cri.rpc import Rpc
from orchestrator.api import RPCS, Api
from orchestrator.v1 import orchestrator_pb2 as pb

DEFAULT_ADDRESS = "orchestrator"
"""The name of the socket, see ``cri.addresses.default_address``."""


class Client(Connection, Api, rpcs=RPCS):
    """An ``Api`` across a socket. Unary calls have a deadline, but those that wait for tasks have none.

    ::

        async with Client.connect(address()) as client:
            await client.submit(pb.SubmitRequest(manifest=text))
    """

    def _deadline(self, rpc: Rpc, request: Message) -> float | None:
        if isinstance(request, pb.StopRequest | pb.DeleteRequest | pb.ReapOrphansRequest) and request.wait:
            return None
        return super()._deadline(rpc, request)


def address() -> str:
    """Where ``minicri up`` listens when nobody says otherwise."""
    return default_address(DEFAULT_ADDRESS)
