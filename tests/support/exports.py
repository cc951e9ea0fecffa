"""Models as other frameworks export them: by the code of docs/exporting.md itself, and as it was once recorded.

`python -m tests.support.exports SECTION…` records those of some sections again, where the frameworks are installed.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from tests.support.pages import ROOT, sections

PAGE = ROOT / "docs" / "exporting.md"
RECORDED = Path(__file__).parent / "data" / "exports"
LONGEST_SECONDS = 240


@dataclass(frozen=True)
class Exported:
    """A model that a section of the page exports."""

    section: str
    file: str
    modules: tuple[str, ...]
    """What must be installed for the code of the section."""
    shapes: Mapping[str, tuple[int, ...]]
    """What it is planned for."""
    others: Mapping[str, tuple[int, ...]]
    """Other shapes that it takes."""
    state: Mapping[str, str] = field(default_factory=dict)
    """The input that an output feeds."""

    @property
    def name(self) -> str:
        return Path(self.file).stem


STREAM = {"frames": (1, 12, 8), "state": (1, 1, 16)}, {"frames": (3, 5, 8), "state": (1, 3, 16)}
KERAS = (
    {"frames": (1, 12, 8), "state": (1, 16), "cell": (1, 16)},
    {"frames": (3, 5, 8), "state": (3, 16), "cell": (3, 16)},
)
TORCH = ("torch", "onnxscript")
LINK = {"next_state": "state"}
EXPORTED = (
    Exported("PyTorch", "denoiser.onnx", TORCH, *STREAM, LINK),
    Exported("PyTorch", "denoiser-dynamo.onnx", TORCH, *STREAM, LINK),
    Exported("Keras", "keras-denoiser.onnx", ("keras", "tensorflow", "tf2onnx"), *KERAS, {**LINK, "next_cell": "cell"}),
    Exported("scikit-learn", "quality.onnx", ("skl2onnx",), {"values": (1, 4)}, {"values": (5, 4)}),
)
"""Those with state have one recurrent layer."""


def export(section: str, folder: Path) -> None:
    """Run the Python of a section in `folder`, which leaves its models there. Fails with what it printed."""
    program = "\n".join(fence.text for fence in sections(PAGE)[section] if fence.language == "python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without what exporters note of where it was made: paths, lines of code."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


if __name__ == "__main__":
    for title in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as made:
            export(title, Path(made))
            for one in (model for model in EXPORTED if model.section == title):
                onnx.save(bare(onnx.load(Path(made) / one.file)), RECORDED / one.file)
