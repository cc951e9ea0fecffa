import chrion_graph  # noqa: F401, before ONNX Runtime is: it keeps that from reporting on its users
