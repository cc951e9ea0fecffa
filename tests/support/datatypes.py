"""Values of each of the protocol's datatypes that show where one is cut, rounded or read in the wrong order."""

VALUES = {
    "BOOL": [True, False, True],
    "UINT8": [0, 255, 7],
    "UINT16": [0, 2**16 - 1, 7],
    "UINT32": [0, 2**32 - 1, 7],
    "UINT64": [0, 2**64 - 1, 2**63 + 1],
    "INT8": [-128, 127, 0],
    "INT16": [-(2**15), 2**15 - 1, 0],
    "INT32": [-(2**31), 2**31 - 1, 0],
    "INT64": [-(2**63), 2**63 - 1, 0],
    "FP16": [-65504, 6e-8, 1.5],
    "FP32": [-3.4e38, 1e-45, 0.1],
    "FP64": [-1.7e308, 5e-324, 0.1],
    "BYTES": ["", "née", "\u0000 \U0001f600"],
}
