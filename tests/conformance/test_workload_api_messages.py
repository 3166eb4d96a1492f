"""The Workload API as it is published: go-spiffe's copy of the interface file against ours and against the socket."""

import json

import pytest
from google.protobuf import descriptor_pb2, json_format

from harness.caller import RpcError
from harness.fixtures import ALICE

# The incubating profile, which the agent does not serve.
WIT = "WIT"


@pytest.fixture(scope="module")
def published(agent):
    return json_format.Parse(json.dumps(agent.probe("descriptor")), descriptor_pb2.FileDescriptorProto())


def fields_of(message):
    """Field name to (number, type, repeated or not, name of a message type) of a DescriptorProto, nested ones included."""
    fields = {field.name: (field.number, field.type, field.label, field.type_name.split(".")[-1]) for field in message.field}
    return fields | {nested.name: fields_of(nested) for nested in message.nested_type}


def test_WA_3_messages_and_field_numbers_are_the_published_ones(published, protos):
    ours = descriptor_pb2.FileDescriptorProto()
    protos.workload.DESCRIPTOR.CopyToProto(ours)
    expected = {message.name: fields_of(message) for message in published.message_type if WIT not in message.name}
    assert len(expected) >= 10
    assert {message.name: fields_of(message) for message in ours.message_type} == expected


def test_WA_1_WE_24_exactly_the_published_methods_are_served(published, caller):
    (service,) = published.service
    assert service.name == "SpiffeWorkloadAPI" and len(service.method) >= 5
    unserved = set()
    for method in service.method:
        try:
            path = f"/SpiffeWorkloadAPI/{method.name}"
            caller(ALICE).open(path).next() if method.server_streaming else caller(ALICE).call(path, timeout=5)
        except RpcError as error:
            if error.code == "UNIMPLEMENTED":
                unserved.add(method.name)
    assert unserved == {method.name for method in service.method if WIT in method.name}
