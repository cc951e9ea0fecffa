"""The messages of the protocol, as protobuf's classes.

They are made here and not by protoc: a table says the same as the public open_inference_grpc.proto, needs no generated
code that goes with one version of protobuf, and has a pool of its own, so that Triton's and KServe's clients, whose
messages have the same names, can be imported into the same process.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "inference"

MESSAGES: dict[str, tuple[str, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("bool live",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("bool ready",),
    "ModelReadyRequest": ("string name", "string version"),
    "ModelReadyResponse": ("bool ready",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("string name", "string version", "repeated string extensions"),
    "ModelMetadataRequest": ("string name", "string version"),
    "ModelMetadataResponse": (
        "string name",
        "repeated string versions",
        "string platform",
        "repeated TensorMetadata inputs",
        "repeated TensorMetadata outputs",
    ),
    "TensorMetadata": ("string name", "string datatype", "repeated int64 shape"),
    "ModelInferRequest": (
        "string model_name",
        "string model_version",
        "string id",
        "repeated Parameter parameters",
        "repeated InferInputTensor inputs",
        "repeated InferRequestedOutputTensor outputs",
        "repeated bytes raw_input_contents",
    ),
    "InferInputTensor": (
        "string name",
        "string datatype",
        "repeated int64 shape",
        "repeated Parameter parameters",
        "InferTensorContents contents",
    ),
    "InferRequestedOutputTensor": ("string name", "repeated Parameter parameters"),
    "ModelInferResponse": (
        "string model_name",
        "string model_version",
        "string id",
        "repeated Parameter parameters",
        "repeated InferOutputTensor outputs",
        "repeated bytes raw_output_contents",
    ),
    "InferOutputTensor": (
        "string name",
        "string datatype",
        "repeated int64 shape",
        "repeated Parameter parameters",
        "InferTensorContents contents",
    ),
    # An entry of a map, which is what protobuf sends a map as.
    "Parameter": ("string key", "InferParameter value"),
    "InferParameter": (
        "bool bool_param",
        "int64 int64_param",
        "string string_param",
        "double double_param",
        "uint64 uint64_param",
    ),
    "InferTensorContents": (
        "repeated bool bool_contents",
        "repeated int32 int_contents",
        "repeated int64 int64_contents",
        "repeated uint32 uint_contents",
        "repeated uint64 uint64_contents",
        "repeated float fp32_contents",
        "repeated double fp64_contents",
        "repeated bytes bytes_contents",
    ),
}
"""The fields of each message, numbered from 1 in their order."""

ONE_OF = {"InferParameter": "parameter_choice"}
"""Messages of whose fields one is set at most, and what that choice is called."""


def _message(name: str, fields: tuple[str, ...]) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for number, text in enumerate(fields, 1):
        *repeated, kind, field_name = text.split()
        field = message.field.add(name=field_name, number=number)
        field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
        if kind in MESSAGES:
            field.type_name = f".{PACKAGE}.{kind}"
        else:
            field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
        if name in ONE_OF:
            field.oneof_index = 0
    if name in ONE_OF:
        message.oneof_decl.add(name=ONE_OF[name])
    return message


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="open_inference_grpc.proto", package=PACKAGE, syntax="proto3")
    file.message_type.extend(_message(name, fields) for name, fields in MESSAGES.items())
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


CLASSES = _classes()
"""The class of each message."""
