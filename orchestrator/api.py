"""``Api``: the orchestrator as a user sees it, one method for each RPC of its service.

``server.Service`` answers in this process, ``client.Client`` asks one elsewhere; the commands take either. What each
call means, and the errors it raises, stands in proto/orchestrator/v1/orchestrator.proto.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

from cri.rpc import Rpc, table
from orchestrator.v1 import orchestrator_pb2 as pb

RPCS: tuple[Rpc, ...] = table(pb.DESCRIPTOR)


class Api(ABC):
    """Raises ``cri.errors.CRIError``, here as there."""

    @abstractmethod
    async def submit(self, request: pb.SubmitRequest) -> pb.SubmitResponse:
        """Declare the tasks of a manifest, all or none."""

    @abstractmethod
    async def get(self, request: pb.GetRequest) -> pb.GetResponse:
        """One task. Raises NotFound."""

    @abstractmethod
    async def list(self, request: pb.ListRequest) -> pb.ListResponse:
        """The tasks that match, by name."""

    @abstractmethod
    def watch(self, request: pb.WatchRequest) -> AsyncIterator[pb.WatchResponse]:
        """The history after a point, then what happens, without gap or repetition."""

    @abstractmethod
    async def stop(self, request: pb.StopRequest) -> pb.StopResponse:
        """Bring tasks to their end."""

    @abstractmethod
    async def restart(self, request: pb.RestartRequest) -> pb.RestartResponse:
        """A new attempt now. Raises FailedPrecondition for a task that has completed."""

    @abstractmethod
    async def delete(self, request: pb.DeleteRequest) -> pb.DeleteResponse:
        """Stop tasks and forget them; an unknown one is no error."""

    @abstractmethod
    def logs(self, request: pb.LogsRequest) -> AsyncIterator[pb.LogsResponse]:
        """What a task wrote. Raises NotFound."""

    @abstractmethod
    async def describe(self, request: pb.DescribeRequest) -> pb.DescribeResponse:
        """Why a task is where it is, and what comes next. Raises NotFound."""

    @abstractmethod
    async def export(self, request: pb.ExportRequest) -> pb.ExportResponse:
        """The declared tasks as a manifest."""

    @abstractmethod
    async def exec(self, request: pb.ExecRequest) -> pb.ExecResponse:
        """A URL that runs a command in a running task. Raises NotFound, FailedPrecondition."""

    @abstractmethod
    async def info(self, request: pb.InfoRequest) -> pb.InfoResponse:
        """What answers here."""
