"""The one table of RPCs, read from the compiled proto: name, attribute, path, types, streaming or not.

Server, client, synchronous façade and metrics are all loops over such a table; none of them names an RPC. The
table is made from any file descriptor, so the orchestrator's own service uses the same machinery.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from cri.v1 import api_pb2

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The largest message accepted either way. CRI peers send up to 16 MiB; the library's own default is 4."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """One row. ``attribute`` is the method's name in Python, ``path`` the HTTP/2 path on the wire."""

    name: str
    attribute: str
    service: str
    request: type[Message]
    response: type[Message]
    streaming: bool

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"


def attribute_name(rpc_name: str) -> str:
    """``RunPodSandbox`` -> ``run_pod_sandbox``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", rpc_name).lower()


def table(file: FileDescriptor) -> tuple[Rpc, ...]:
    """Every RPC of every service in ``file``, in the order of the proto."""
    return tuple(
        Rpc(
            name=method.name,
            attribute=attribute_name(method.name),
            service=service.full_name,
            request=GetMessageClass(method.input_type),
            response=GetMessageClass(method.output_type),
            streaming=method.server_streaming,
        )
        for service in file.services_by_name.values()
        for method in service.methods
    )


RPCS: tuple[Rpc, ...] = table(api_pb2.DESCRIPTOR)
"""The 43 RPCs of CRI v1."""
