"""Load, check, normalise, rewrite and cut ONNX graphs."""
