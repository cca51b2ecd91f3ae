"""``Api``: the orchestrator as a user sees it, one method for each RPC of its service.

``server.Service`` answers in this process, ``client.Client`` asks one elsewhere; the commands take either. What each
call means, and the errors it raises, stands in proto/orchestrator/v1/orchestrator.proto.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from cri.rpc import Rpc, table
from orchestrator.v1 import orchestrator_pb2 as pb

RPCS: tuple[Rpc, ...] = table(pb.DESCRIPTOR)


class Api(Protocol):
    """Raises ``cri.errors.CRIError``, here as there."""

    async def submit(self, request: pb.SubmitRequest) -> pb.SubmitResponse:
        """Declare the tasks of a manifest, all or none."""

    async def scale(self, request: pb.ScaleRequest) -> pb.ScaleResponse:
        """Another number of replicas. Raises NotFound."""

    async def rollback(self, request: pb.RollbackRequest) -> pb.RollbackResponse:
        """An earlier revision again. Raises NotFound, FailedPrecondition."""

    async def list_declarations(self, request: pb.ListDeclarationsRequest) -> pb.ListDeclarationsResponse:
        """What is declared, and how far it is rolled out. Raises NotFound."""

    async def get(self, request: pb.GetRequest) -> pb.GetResponse:
        """One task. Raises NotFound."""

    async def list(self, request: pb.ListRequest) -> pb.ListResponse:
        """The tasks that match, by name."""

    def watch(self, request: pb.WatchRequest) -> AsyncGenerator[pb.WatchResponse]:
        """The history after a point, then what happens, without gap or repetition."""

    async def stop(self, request: pb.StopRequest) -> pb.StopResponse:
        """Bring tasks to their end."""

    async def restart(self, request: pb.RestartRequest) -> pb.RestartResponse:
        """A new attempt now. Raises FailedPrecondition for a task that has completed."""

    async def delete(self, request: pb.DeleteRequest) -> pb.DeleteResponse:
        """Stop tasks and forget them; an unknown one is no error."""

    def logs(self, request: pb.LogsRequest) -> AsyncGenerator[pb.LogsResponse]:
        """What a task wrote. Raises NotFound."""

    async def describe(self, request: pb.DescribeRequest) -> pb.DescribeResponse:
        """Why a task is where it is, and what comes next. Raises NotFound."""

    async def export(self, request: pb.ExportRequest) -> pb.ExportResponse:
        """The declared tasks as a manifest."""

    async def exec(self, request: pb.ExecRequest) -> pb.ExecResponse:
        """A URL that runs a command in a running task. Raises NotFound, FailedPrecondition."""

    async def reap_orphans(self, request: pb.ReapOrphansRequest) -> pb.ReapOrphansResponse:
        """Clear away what no known task owns."""

    async def info(self, request: pb.InfoRequest) -> pb.InfoResponse:
        """What answers here."""
