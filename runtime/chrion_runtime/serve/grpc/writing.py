"""Writing a ModelInferResponse."""

from collections.abc import Mapping

from google.protobuf.message import EncodeError

from chrion_runtime.servable import Array
from chrion_runtime.serve.grpc.contents import write_contents
from chrion_runtime.serve.grpc.messages import CLASSES
from chrion_runtime.serve.protocol import Answer, InferRequest
from chrion_runtime.serve.protocol.binary_tensor import write_binary
from chrion_runtime.serve.protocol.errors import AnswerFailed
from chrion_runtime.serve.protocol.metadata import MODEL_VERSION
from chrion_runtime.serve.protocol.response import result_of


def write_infer(model: str, request: InferRequest, results: Mapping[str, Array]) -> Answer:
    """The answer of `model` to `request`, the outputs in the order that was asked for. Raises AnswerFailed."""
    message = CLASSES["ModelInferResponse"](model_name=model, model_version=MODEL_VERSION, id=request.id or "")
    for requested in request.outputs:
        where, array, datatype = result_of(requested.name, results)
        output = message.outputs.add(name=requested.name, datatype=datatype, shape=array.shape)
        if requested.binary:
            message.raw_output_contents.append(bytes(write_binary(where, array)))
        else:
            output.contents.SetInParent()  # also where there is no value
            write_contents(where, array, datatype, output.contents)
    try:
        return Answer((message.SerializeToString(),))
    except EncodeError as error:  # beyond protobuf's 2 GiB
        raise AnswerFailed(f"the answer has no form in protobuf: {error}") from None
