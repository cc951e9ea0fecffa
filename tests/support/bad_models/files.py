"""Files that are no ONNX models, or only the half of one."""

from pathlib import Path

from chrion_models.families.stack import stack
from tests.support.bad_models.build import BadModel


def _truncated(_: Path) -> bytes:
    content: bytes = stack("GRU", "forward", 2, 16, 8, 1).build().SerializeToString()
    return content[: len(content) // 2]


MODELS = {
    "text": BadModel("a text file", lambda _: b"This is not a model.\nIt is a letter.\n"),
    "empty": BadModel("a file of no bytes, which protobuf reads as a model of nothing", lambda _: b""),
    "png": BadModel("a picture", lambda _: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(64)),
    "truncated": BadModel("the first half of a model", _truncated),
}
