"""ONNX Runtime as an engine: all of it that runs stages is here."""
