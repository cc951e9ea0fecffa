"""The server of the inference protocol: a shell of aiohttp, and of gRPC, around `chrion_runtime.serve.protocol`.

Nothing is imported here: the processes that read JSON need the protocol alone, and are to start quickly.
"""
