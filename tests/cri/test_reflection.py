"""A program that has no proto file finds out from the server alone what there is, and calls it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import cri
from cri.rpc import RPCS
from cri.v1 import api_pb2 as v1
from tests.cri.scripted import scripted


def discover(address: str) -> dict[str, MethodDescriptor]:
    """Every method of every service, by its path, as the server describes it."""
    with grpc.insecure_channel(address.replace("unix://", "unix:")) as channel:
        described = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(described)
        services = [pool.FindServiceByName(name) for name in described.get_services()]
        return {f"/{service.full_name}/{method.name}": method for service in services for method in service.methods}


def call(address: str, path: str, **fields: Any) -> Any:
    """Call a unary method with messages that are made from its description."""
    method = discover(address)[path]
    request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    with grpc.insecure_channel(address.replace("unix://", "unix:")) as channel:
        ask: Any = channel.unary_unary(path, request.SerializeToString, response.FromString)
        return ask(request(**fields), timeout=10)


async def test_every_rpc_of_the_contract_is_found_with_its_kind(address: str) -> None:
    async with cri.serve(scripted(), address):
        found = await asyncio.to_thread(discover, address)
    assert {rpc.path: rpc.streaming for rpc in RPCS}.items() <= {
        path: method.server_streaming for path, method in found.items()
    }.items()


async def test_a_method_is_called_by_its_description_alone(address: str) -> None:
    async def version(request: v1.VersionRequest) -> v1.VersionResponse:
        return v1.VersionResponse(version=request.version, runtime_name="described")

    async with cri.serve(scripted(version=version), address):
        answer = await asyncio.to_thread(call, address, "/runtime.v1.RuntimeService/Version", version="v1")
    assert type(answer) is not v1.VersionResponse
    assert (answer.version, answer.runtime_name) == ("v1", "described")


async def test_nested_messages_and_maps_are_described_too(address: str) -> None:
    heard: list[v1.ListContainersRequest] = []

    async def listing(request: v1.ListContainersRequest) -> v1.ListContainersResponse:
        heard.append(request)
        return v1.ListContainersResponse(containers=[v1.Container(id="1", state=v1.CONTAINER_RUNNING)])

    path = "/runtime.v1.RuntimeService/ListContainers"
    async with cri.serve(scripted(list_containers=listing), address):
        answer = await asyncio.to_thread(call, address, path, filter={"label_selector": {"app": "web"}})
    assert heard == [v1.ListContainersRequest(filter=v1.ContainerFilter(label_selector={"app": "web"}))]
    assert [(one.id, one.state) for one in answer.containers] == [("1", v1.CONTAINER_RUNNING)]
