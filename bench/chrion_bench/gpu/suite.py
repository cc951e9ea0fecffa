"""What is measured on a GPU: a fixed list from the suite, the most telling first.

Each first part of it is a fair sample: real models, whole layers and unrolled cells, batch 1 and 8, and models with
convolutions or attention beside their recurrent layers, by turns.
"""

from collections.abc import Sequence

from chrion_bench.suite import Entry, generated, suite
from chrion_models import families

NAMES = (
    "nsnet2-f200",
    "lstm-bidirectional-l2-h256-s128-b1",
    "unrolled-lstm-l8-h256-s32-b1-gemm-split",
    "crnn-c64-h256-w320-b1",
    "gru-forward-l4-h256-s128-b8",
    "silero_vad",
    "unrolled-gru-l4-h256-s32-b8-gemm-split",
    "encdec-lstm-lstm-l2-h512-s64-t32-b1-v4000",
    "lstm-forward-l4-h512-s128-b1",
    "unrolled-gru-l8-h128-s32-b1-matmul-slice",
    "rnn-bidirectional-l4-h128-s128-b8",
    "nsnet2-f50",
    "crnn-c64-h256-w100-b8",
    "encdec-lstm-gru-l2-h256-s64-t32-b8-v4000",
)

DRY_NAMES = ("gru-bidirectional-l2-h16-s8-b2", "unrolled-lstm-l2-h16-s4-b1-gemm-split", "silero_vad")
"""A whole layer, unrolled cells and a real model, as small as they are."""

REAL_FILES = ("nsnet2.onnx", "silero_vad.onnx")
"""The real models' files, which an offline machine must be given."""


def gpu_suite(dry: bool = False) -> tuple[Entry, ...]:
    """The models in the order in which they are measured; with `dry` the few small ones of a dry run."""
    known = {entry.name: entry for entry in suite()}
    names: Sequence[str] = DRY_NAMES if dry else NAMES
    return tuple(known.get(name) or generated(families.find(name), "small") for name in names)
