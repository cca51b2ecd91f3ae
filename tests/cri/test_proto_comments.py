"""The proto is where callers in other languages read the contract, so everything in it is explained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

PROTOS = Path(__file__).parents[2] / "proto"

MESSAGE, ENUM, SERVICE, METHOD = 4, 5, 6, 2  # field numbers in descriptor.proto, of which locations are made


def compiled(out: Path) -> FileDescriptorProto:
    arguments = ["protoc", f"--proto_path={PROTOS}", f"--descriptor_set_out={out}", "--include_source_info"]
    assert protoc.main([*arguments, "cri/v1/api.proto"]) == 0
    [file] = FileDescriptorSet.FromString(out.read_bytes()).file
    return file


def to_explain(file: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    for at, message in enumerate(file.message_type):
        yield message.name, (MESSAGE, at)
    for at, enum in enumerate(file.enum_type):
        yield enum.name, (ENUM, at)
    for at, service in enumerate(file.service):
        yield service.name, (SERVICE, at)
        for within, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (SERVICE, at, METHOD, within)


def test_every_message_enum_service_and_rpc_is_explained(tmp_path: Path) -> None:
    file = compiled(tmp_path / "set")
    explained = {tuple(where.path) for where in file.source_code_info.location if where.leading_comments.strip()}
    assert [name for name, path in to_explain(file) if path not in explained] == []
