"""The Open Inference Protocol v2 with the binary tensor extension, apart from any server.

Specifications: https://github.com/kserve/open-inference-protocol (REST) and
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from chrion_runtime.serve.protocol.raw_request import RawRequest, Unread, Write
from chrion_runtime.serve.protocol.request import InferRequest, RequestedOutput, read_request
from chrion_runtime.serve.protocol.response import Answer, write_answer
from chrion_runtime.serve.protocol.signature import Signature

__all__ = [
    "Answer",
    "InferRequest",
    "RawRequest",
    "RequestedOutput",
    "Signature",
    "Unread",
    "Write",
    "read_request",
    "write_answer",
]
