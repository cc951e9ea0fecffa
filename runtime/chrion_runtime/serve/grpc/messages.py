"""The messages of the protocol, as protobuf's classes.

They are made here and not by protoc: a table says the same as the public open_inference_grpc.proto, needs no generated
code that goes with one version of protobuf, and has a pool of its own, so that Triton's and KServe's clients, whose
messages have the same names, can be imported into the same process.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)
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
    # Triton's, of its extensions.
    "ModelConfigRequest": ("string name", "string version"),
    "ModelConfigResponse": ("ModelConfig config",),
    "ModelConfig": (
        "string name",
        "string platform",
        "int32 max_batch_size 4",
        "repeated ModelInput input",
        "repeated ModelOutput output",
    ),
    "ModelInput": ("string name", "DataType data_type", "repeated int64 dims 4", "bool optional 8"),
    "ModelOutput": ("string name", "DataType data_type", "repeated int64 dims"),
    "ModelStatisticsRequest": ("string name", "string version"),
    "ModelStatisticsResponse": ("repeated ModelStatistics model_stats",),
    "ModelStatistics": (
        "string name",
        "string version",
        "uint64 last_inference",
        "uint64 inference_count",
        "uint64 execution_count",
        "InferStatistics inference_stats",
        "repeated InferBatchStatistics batch_stats",
    ),
    "InferStatistics": (
        "StatisticDuration success",
        "StatisticDuration fail",
        "StatisticDuration queue",
        "StatisticDuration compute_input",
        "StatisticDuration compute_infer",
        "StatisticDuration compute_output",
        "StatisticDuration cache_hit",
        "StatisticDuration cache_miss",
    ),
    "InferBatchStatistics": (
        "uint64 batch_size",
        "StatisticDuration compute_input",
        "StatisticDuration compute_infer",
        "StatisticDuration compute_output",
    ),
    "StatisticDuration": ("uint64 count", "uint64 ns"),
    "ModelStreamInferResponse": ("string error_message", "ModelInferResponse infer_response"),
}
"""The fields of each message, numbered from 1 in their order, or from the number behind one on."""

_TYPES = (
    *("INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "STRING", "BF16"),
)
ENUMS = {"DataType": tuple(f"TYPE_{name}" for name in _TYPES)}
"""The names of each enumeration's values, from 0 in their order."""

SERVICE = f"{PACKAGE}.GRPCInferenceService"
STREAMS = {"ModelStreamInfer": ("ModelInferRequest", "ModelStreamInferResponse")}
"""Methods of streams, with the messages that come and go; all others have a message of each kind under their name."""

ONE_OF = {"InferParameter": "parameter_choice"}
"""Messages of whose fields one is set at most, and what that choice is called."""


POOL = DescriptorPool()
"""What describes all of it, for those who ask by reflection."""


def _message(name: str, fields: tuple[str, ...]) -> DescriptorProto:
    message = DescriptorProto(name=name)
    number = 0
    for text in fields:
        *repeated, kind, field_name = (parts := text.split())[: 3 if parts[0] == "repeated" else 2]
        number = int(parts[-1]) if parts[-1].isdecimal() else number + 1
        field = message.field.add(name=field_name, number=number)
        field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
        if kind in MESSAGES:
            field.type_name = f".{PACKAGE}.{kind}"
        elif kind in ENUMS:
            field.type = FieldDescriptorProto.TYPE_ENUM
            field.type_name = f".{PACKAGE}.{kind}"
        else:
            field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
        if name in ONE_OF:
            field.oneof_index = 0
    if name in ONE_OF:
        message.oneof_decl.add(name=ONE_OF[name])
    return message


def _service() -> ServiceDescriptorProto:
    service = ServiceDescriptorProto(name=SERVICE.removeprefix(f"{PACKAGE}."))
    for request in MESSAGES:
        if (name := request.removesuffix("Request")) != request:
            service.method.add(name=name, input_type=f".{PACKAGE}.{request}", output_type=f".{PACKAGE}.{name}Response")
    for name, (comes, goes) in STREAMS.items():
        service.method.add(
            name=name,
            input_type=f".{PACKAGE}.{comes}",
            output_type=f".{PACKAGE}.{goes}",
            client_streaming=True,
            server_streaming=True,
        )
    return service


def _classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="open_inference_grpc.proto", package=PACKAGE, syntax="proto3")
    file.message_type.extend(_message(name, fields) for name, fields in MESSAGES.items())
    for name, values in ENUMS.items():
        found = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            found.value.add(name=value, number=number)
    file.service.append(_service())
    POOL.Add(file)
    return {name: GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


CLASSES = _classes()
"""The class of each message."""
