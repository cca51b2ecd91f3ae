"""The compiled descriptor against the table of the CRI v1 wire: what differs here would not talk to a kubelet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, ServiceDescriptor

from cri.rpc import RPCS
from cri.v1 import api_pb2 as v1

WIRE: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "cri-v1-wire.json").read_text())

SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
}


def name_in_package(descriptor: Descriptor | EnumDescriptor) -> str:
    return descriptor.full_name.removeprefix("runtime.v1.")


def type_of(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            key, value = field.message_type.fields
            return f"map<{type_of(key)},{type_of(value)}>"
        plain = name_in_package(field.message_type)
    elif field.enum_type is not None:
        plain = name_in_package(field.enum_type)
    else:
        plain = SCALARS[field.type]
    return f"repeated {plain}" if field.is_repeated else plain


def shape_of(message: Descriptor) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    for field in message.fields:
        shape[str(field.number)] = {"name": field.name, "type": type_of(field)}
        if field.GetOptions().deprecated:
            shape[str(field.number)]["deprecated"] = True
        if field.containing_oneof is not None:
            shape[str(field.number)]["oneof"] = field.containing_oneof.name
    return shape


def messages() -> dict[str, Descriptor]:
    return dict(v1.DESCRIPTOR.message_types_by_name)


def enums() -> dict[str, EnumDescriptor]:
    nested = [enum for message in messages().values() for enum in message.enum_types]
    return {name_in_package(enum): enum for enum in [*v1.DESCRIPTOR.enum_types_by_name.values(), *nested]}


def calls_of(service: ServiceDescriptor) -> dict[str, dict[str, str]]:
    return {
        method.name: {
            "request": ("stream " if method.client_streaming else "") + name_in_package(method.input_type),
            "response": ("stream " if method.server_streaming else "") + name_in_package(method.output_type),
        }
        for method in service.methods
    }


def test_the_package_is_the_one_that_kubelets_ask_for() -> None:
    assert v1.DESCRIPTOR.package == WIRE["package"]


def test_there_is_no_message_more_or_less() -> None:
    assert set(messages()) == set(WIRE["messages"])
    assert len(messages()) == 175


def test_only_map_entries_are_nested_messages() -> None:
    nested = [inner for message in messages().values() for inner in message.nested_types]
    assert [inner.full_name for inner in nested if not inner.GetOptions().map_entry] == []


@pytest.mark.parametrize("name", WIRE["messages"])
def test_a_message_has_the_fields_of_the_wire(name: str) -> None:
    assert shape_of(messages()[name]) == WIRE["messages"][name]


@pytest.mark.parametrize("name", WIRE["enums"])
def test_an_enum_has_the_values_of_the_wire(name: str) -> None:
    assert {str(value.number): value.name for value in enums()[name].values} == WIRE["enums"][name]


def test_there_is_no_enum_more_or_less() -> None:
    assert set(enums()) == set(WIRE["enums"])
    assert len(enums()) == 11


def test_the_services_have_the_calls_of_the_wire() -> None:
    found = {name: calls_of(service) for name, service in v1.DESCRIPTOR.services_by_name.items()}
    assert found == WIRE["services"]


def test_the_table_of_rpcs_has_all_43_with_their_paths() -> None:
    assert {rpc.path for rpc in RPCS} == {
        f"/runtime.v1.{service}/{name}" for service, calls in WIRE["services"].items() for name in calls
    }
    assert len(RPCS) == 43
