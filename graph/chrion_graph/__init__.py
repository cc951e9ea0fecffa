"""Load, check, normalise, rewrite and cut ONNX graphs."""

import os

# From 1.31 on ONNX Runtime's Linux packages report how they are used, over the network, to their maker, from the moment
# they are imported. A server of other people's models must not do that unasked: ORT_DISABLE_TELEMETRY=0 allows it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
