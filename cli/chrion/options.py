"""Options that several commands share, and how their values are read."""

import math
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chrion.errors import UsageError
from chrion_api import EXACT, SLO, Duration, InputSpec, Mode, Objective, Quantity, StateLink, WeightFormat
from chrion_graph.limits import Limits
from chrion_runtime.choice.documents import read_objective

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="The ONNX file.", show_default=False)]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="NAME=SHAPE",
        help="Shape of an input, such as input=1x200x161 or sr=scalar. Several for one input make several buckets.",
    ),
]
ValueOption = Annotated[
    list[str] | None,
    typer.Option(
        "--value",
        metavar="NAME=NUMBER",
        help="The value of an input while profiling, such as sr=16000. Default: random floats, zeros for others.",
    ),
]
LatencyOption = Annotated[
    str | None, typer.Option("--latency", metavar="20ms", help="The latency to stay within, at p99.")
]
GpuMemoryOption = Annotated[
    str | None, typer.Option("--gpu-memory", metavar="256Mi", help="The GPU memory to stay within.")
]
ModeOption = Annotated[
    Mode, typer.Option("--mode", case_sensitive=False, help="Least latency, or least GPU memory within the latency.")
]
DevicesOption = Annotated[
    str,
    typer.Option(
        "--devices", metavar="cpu,cuda:0", help="Devices to use. Default: the CPU, and a GPU if there is one."
    ),
]
LanesOption = Annotated[int, typer.Option("--lanes", min=0, help="CPU lanes; 0 for as many as there are cores.")]
TimeoutOption = Annotated[
    str, typer.Option("--timeout", metavar="10m", help="Time limit for planning; the best plan found by then is kept.")
]
MaxNodesOption = Annotated[int, typer.Option("--max-nodes", min=1, help="Reject models with more nodes.")]
MaxModelBytesOption = Annotated[str, typer.Option("--max-model-bytes", metavar="8Gi", help="Reject larger models.")]
MaxMemoryOption = Annotated[
    str | None, typer.Option("--max-memory", metavar="4Gi", help="Memory limit for loading and running the model once.")
]
MaxSecondsOption = Annotated[
    float, typer.Option("--max-seconds", min=1, help="Time limit in seconds for loading, and again for one run.")
]
PrecisionOption = Annotated[
    WeightFormat,
    typer.Option(
        "--precision",
        case_sensitive=False,
        help="What recurrent layers on the CPU may round weights to. Float32 rounds nothing.",
    ),
]
MAX_ERROR = EXACT.max_error
MaxErrorOption = Annotated[
    float,
    typer.Option(
        "--max-error",
        min=1e-9,
        max=1,
        metavar="0.01",
        help="Drop plans whose rounded answers are off by more than this fraction of their largest value.",
    ),
]
SampleOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--sample",
        metavar="INPUTS.npz",
        help="More inputs to compare answers on if weights are rounded: a file of numpy.savez. May be repeated.",
    ),
]
SloOption = Annotated[
    Path | None,
    typer.Option("--slo", metavar="SLO.yaml", help="A file with latency, percentile, load, gpuMemory, mode; watched."),
]
StateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="OUTPUT=INPUT",
        help="State: an output that feeds the sequence's next input. With several models: MODEL:OUTPUT=INPUT.",
    ),
]
BatchOption = Annotated[
    int,
    typer.Option(
        "--batch",
        min=0,
        metavar="ROWS",
        help="Run waiting requests together, up to this many rows of the first axis. Default: each alone.",
    ),
]
MaxSequencesOption = Annotated[
    int, typer.Option("--max-sequences", min=1, help="How many sequences each model keeps state for.")
]
SequenceIdleOption = Annotated[
    str, typer.Option("--sequence-idle", metavar="5m", help="How long an idle sequence keeps its state.")
]
MAX_RUN = "5m"
MaxRunOption = Annotated[
    str,
    typer.Option("--max-run", metavar="5m", help="Time limit for a request, whatever its client allows."),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", help="Tokens, one a line; requests need one (Authorization: Bearer). Default: none."),
]
TlsCertOption = Annotated[
    Path | None, typer.Option("--tls-cert", help="Certificate of the server, as PEM. Default: no encryption.")
]
TlsKeyOption = Annotated[Path | None, typer.Option("--tls-key", help="The certificate's key, as PEM.")]
TlsClientCaOption = Annotated[
    Path | None, typer.Option("--tls-client-ca", help="Only clients with a certificate signed by these may connect.")
]
MAX_BODY, MAX_BODIES, READ_TIMEOUT = "64Mi", "512Mi", "30s"
MaxBodyOption = Annotated[
    str, typer.Option("--max-body", metavar="64Mi", help="Largest body of a request, also after decompression.")
]
MaxBodiesOption = Annotated[
    str, typer.Option("--max-bodies", metavar="512Mi", help="What the bodies of all requests in flight may take.")
]
ReadTimeoutOption = Annotated[
    str, typer.Option("--read-timeout", metavar="30s", help="Time limit for a request's body to arrive.")
]
RunMemoryOption = Annotated[
    str | None,
    typer.Option(
        "--run-memory",
        metavar="2Gi",
        help="Host memory that all runs may use together, weights included. Default: 3/4 of what is free.",
    ),
]
LeaveOption = Annotated[
    str | None,
    typer.Option(
        "--leave",
        metavar="5s",
        help="How long to accept connections after SIGTERM, closing each once answered.",
    ),
]


class Isolate(StrEnum):
    """Which models get a process of their own."""

    OFF = "off"
    """None: all run in the server's process."""
    OWNER = "owner"
    """Where there are models of several owners, those of each."""
    MODEL = "model"
    """Each."""


IsolateOption = Annotated[
    Isolate,
    typer.Option(
        "--isolate",
        case_sensitive=False,
        help="Which models get a process of their own: none, one process per owner if there are several, or each.",
    ),
]
RepositoryOption = Annotated[
    Path | None,
    typer.Option(
        "--repository",
        metavar="FOLDER",
        help="Let clients load and unload the models in this folder: NAME/model.onnx with NAME/plan.json.",
    ),
]
AnyDeviceOption = Annotated[
    bool, typer.Option("--any-device", help="Serve a plan that was measured on another device.")
]
HostOption = Annotated[str, typer.Option("--host", help="The address to listen on; 0.0.0.0 for all.")]
PortOption = Annotated[int, typer.Option("--port", help="The port to listen on; 0 for any that is free.")]
MetricsPortOption = Annotated[
    int, typer.Option("--metrics-port", help="The port of the status page and of /metrics; -1 for none.")
]
GrpcPortOption = Annotated[
    int | None,
    typer.Option("--grpc-port", help="Serve over gRPC too, on this port; 0 for any that is free. Needs chrion[grpc]."),
]
OtlpOption = Annotated[
    str | None,
    typer.Option(
        "--otlp-endpoint",
        metavar="URL",
        help="Send traces there, such as http://localhost:4318. Default: as the OTEL_* variables say, or nowhere.",
    ),
]


def check_port(option: str, port: int) -> int:
    """The port, if there can be such a one. Raises UsageError."""
    if not 0 <= port <= 65535:
        raise UsageError(f"{option}: {port} is not a port; give one from 0 to 65535")
    return port


def parse_seconds(option: str, text: str) -> float:
    """A duration in seconds. Raises UsageError."""
    try:
        return Duration(text).seconds
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def parse_bytes(option: str, text: str) -> int:
    """An amount of bytes, of which there is at least one. Raises UsageError."""
    try:
        found = Quantity(text).bytes
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if not found:
        raise UsageError(f"{option}: must be greater than zero")
    return found


def parse_inputs(inputs: list[str] | None, values: list[str] | None) -> tuple[InputSpec, ...]:
    """`--input` and `--value` as InputSpecs. Raises UsageError."""
    specs = []
    for text in inputs or []:
        name, _, shape = text.rpartition("=")
        sizes = [] if shape == "scalar" else shape.split("x")
        odd = next((size for size in sizes if not size.isdecimal()), None)
        if name and odd:
            raise UsageError(f'--input: "{text}": "{odd}" is not a size: put a whole number there')
        if not name or odd is not None:
            raise UsageError(f'--input: "{text}" is not NAME=SHAPE such as input=1x200x161 or sr=scalar')
        specs.append(InputSpec(name=name, shape=tuple(int(size) for size in sizes)))
    for text in values or []:
        name, _, number = text.rpartition("=")
        try:
            value = int(number) if number.lstrip("-").isdecimal() else float(number)
        except ValueError:
            value = math.nan
        if name and number and not math.isfinite(value):
            raise UsageError(f'--value: "{text}": "{number}" is not a number')
        if not name or not number:
            raise UsageError(f'--value: "{text}" is not NAME=NUMBER such as sr=16000')
        specs.append(InputSpec(name=name, value=value))
    return _merged(specs)


def _merged(specs: Sequence[InputSpec]) -> tuple[InputSpec, ...]:
    """Specs of the same input as one: their shapes as buckets, the last value."""
    merged: dict[str, InputSpec] = {}
    for spec in specs:
        before = merged.get(spec.name)
        if before is not None:
            value = spec.value if spec.value is not None else before.value
            spec = InputSpec(name=spec.name, shapes=(*before.buckets, *spec.buckets), value=value)
        merged[spec.name] = spec
    return tuple(merged.values())


def parse_state(texts: list[str] | None) -> tuple[StateLink, ...]:
    """`--state` as StateLinks. Raises UsageError."""
    links = []
    for text in texts or []:
        output, sep, name = text.partition("=")
        if not (output and sep and name):
            raise UsageError(f'--state: "{text}" is not OUTPUT=INPUT such as stateN=state')
        links.append(StateLink(output=output, input=name))
    return tuple(links)


def parse_objective(latency: str | None, gpu_memory: str | None) -> SLO:
    """`--latency` and `--gpu-memory` as an objective. Raises InvalidField."""
    given = {"latency": latency, "gpuMemory": gpu_memory}
    return SLO.parse({name: value for name, value in given.items() if value is not None}, "slo")


def read_slo(file: Path | None, latency: str | None, gpu_memory: str | None, mode: Mode) -> Objective:
    """The objective of `--slo`, or of `--latency`, `--gpu-memory` and `--mode`. Raises ChrionError."""
    if file is None:
        return Objective.of(parse_objective(latency, gpu_memory), mode)
    if latency is not None or gpu_memory is not None or mode is not Mode.AUTO:
        raise UsageError(f"--slo: {file} holds the whole objective: leave out --latency, --gpu-memory and --mode")
    return read_objective(file)


def parse_devices(devices: str) -> tuple[str, ...]:
    """`--devices` as names."""
    return tuple(name.strip() for name in devices.split(",") if name.strip())


def check_output(path: Path) -> None:
    """Whether a file can be written, asked before the work of minutes that it is to hold. Raises UsageError."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"{path}: cannot be written: {folder} is not a folder that you may write to")


def parse_limits(nodes: int, model_bytes: str, memory: str | None, seconds: float) -> Limits:
    """The limits on a model. Raises UsageError."""
    if not math.isfinite(seconds):
        raise UsageError("--max-seconds: must be a finite number")
    try:
        return Limits(
            model_bytes=Quantity(model_bytes).bytes,
            nodes=nodes,
            memory_bytes=None if memory is None else Quantity(memory).bytes,
            seconds=seconds,
        )
    except ValueError as error:
        raise UsageError(f"--max-model-bytes, --max-memory: {error}") from None
