"""Everything about a model that planning needs, before anything is profiled: graphs, shapes and values to run with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chrion_api import ChrionError, InputSpec, Rewrite, Shape
from chrion_api.one_line import one_line
from chrion_graph.errors import InvalidModel
from chrion_graph.graph import Graph, Shapes
from chrion_graph.guesses import completed, guesses
from chrion_graph.inputs import buckets, sample
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.observe import observe
from chrion_graph.rewrite import Way, inline_ifs, ways
from chrion_graph.samples import Sample, by_bucket
from chrion_graph.worker import ForkServer, WorkerError
from chrion_planner.costs import GraphBucket
from chrion_planner.measuring import Feeds
from chrion_planner.plans import Rewritten
from chrion_planner.progress import silent
from chrion_planner.refusals import Refusals, nobody


@dataclass(frozen=True)
class PreparedBucket:
    """One bucket of input shapes: the graph as it is and rewritten, and values to run it with."""

    variants: tuple[Rewritten, ...]
    feeds: Feeds
    samples: tuple[Feeds, ...] = ()
    """Further values, on which the answers of plans that round weights are compared."""


@dataclass(frozen=True)
class Prepared:
    """A model, normalised into `folder`, with its buckets."""

    model: Path
    digest: str
    folder: Path
    buckets: tuple[PreparedBucket, ...]
    fallback: str = ""
    """Why only the model as it is can be planned; empty where plans can be searched for."""
    unrunnable: bool = False
    """Whether that is since no values are known that the model runs on, so that nothing can be measured."""


def prepare(
    model: Path,
    digest: str,
    folder: Path,
    inputs: Sequence[InputSpec],
    limits: Limits,
    refusals: Refusals = nobody,
    server: ForkServer | None = None,
    samples: Sequence[Sample] = (),
    random_samples: int = 0,
    warn: Callable[[str], None] = silent,
) -> Prepared:
    """Run a model that is normalised in `folder` once for each bucket and rewrite.

    `refusals` says which nodes a device refuses: only then are they rewritten into others. Answers are to be compared
    on `samples`, each in the bucket of its shapes, and on so many of random values. `warn` is told of what is
    guessed, left out and filled otherwise. Raises ModelError.
    """
    graph = Graph.load(folder)
    guessed = guesses({name: kind for name, kind in graph.inputs.items() if name not in graph.defaults}, inputs)
    shapes_of = buckets(graph, completed(inputs, guessed))
    for guess in guessed:
        warn(str(guess))
    values = {spec.name: spec.value for spec in inputs if spec.value is not None}
    invented = [
        name
        for name, kind in graph.inputs.items()
        if name not in values.keys() | graph.defaults.keys() and kind is not None and kind.dtype.kind != "f"
    ]
    with ModelWorker(limits.memory, server=server) as worker:
        try:
            other, observed = _runnable(graph, shapes_of, values, bool(invented), limits, worker)
        except InvalidModel as error:
            if not invented:
                raise
            why = f"{error}; the values of {', '.join(invented)} were made up: give inputs[].value (--value)"
            bare = [Rewritten((), GraphBucket(graph, shapes, {})) for shapes in shapes_of]
            return Prepared(model, digest, folder, tuple(PreparedBucket((one,), {}) for one in bare), why, True)
        if other:
            warn(f"the model fails on zeros: {', '.join(invented)} filled with {other}")
        samples_of = by_bucket(graph.inputs, shapes_of, samples)
        found = []
        rewritten: Sequence[Way] | None = None
        for shapes, first, further in zip(shapes_of, observed, samples_of, strict=True):
            feeds, *rest = (
                sample(graph.inputs, shapes, values, seed, graph.defaults, other) for seed in range(random_samples + 1)
            )
            if rewritten is None:
                rewritten = _ways(graph, partial(refusals, feeds), warn)
            inlined = _inlined(graph, shapes, values, refusals, feeds, limits, worker, warn)
            variants = [Rewritten((), GraphBucket(graph, shapes, first))] + [
                Rewritten(rewrites, GraphBucket(way, shapes, observe(way, feeds, limits, worker)))
                for rewrites, way in inlined or rewritten
                if rewrites
            ]
            found.append(PreparedBucket(tuple(variants), feeds, (*further, *rest)))
    return Prepared(model, digest, folder, tuple(found), graph.unchanged)


def _runnable(
    graph: Graph,
    shapes_of: Sequence[Mapping[str, Shape]],
    values: Mapping[str, bool | int | float],
    invented: bool,
    limits: Limits,
    worker: ModelWorker,
) -> tuple[int, list[Shapes]]:
    """What to fill inputs with that are no floats, where some are `invented`, and the shapes of all values in buckets.

    Raises InvalidModel where the model runs neither on zeros nor on ones.
    """

    def observed(other: int) -> list[Shapes]:
        return [
            observe(graph, sample(graph.inputs, shapes, values, 0, graph.defaults, other), limits, worker)
            for shapes in shapes_of
        ]

    try:
        return 0, observed(0)
    except InvalidModel as error:
        if not invented:
            raise
        try:
            return 1, observed(1)
        except InvalidModel:
            raise error from None


def _inlined(
    graph: Graph,
    shapes: Mapping[str, Shape],
    values: Mapping[str, bool | int | float],
    refusals: Refusals,
    feeds: Feeds,
    limits: Limits,
    worker: ModelWorker,
    warn: Callable[[str], None],
) -> list[Way]:
    """The graph without the Ifs that the bucket decides, and that rewritten; nothing where it decides none."""
    if not any(node.op_type == "If" for node in graph.nodes):
        return []
    try:
        parameters = worker.call(
            inline_ifs.decided,
            graph.model.SerializeToString(),
            graph.folder,
            shapes,
            values,
            seconds=limits.seconds_for(len(graph.nodes)),
            what="finding the branches that run",
        )
        if parameters is None:
            return []
        inlined = inline_ifs.apply(graph, parameters)
    except ChrionError as error:
        warn(f"Ifs are not inlined: {error}")
        return []
    first = Rewrite(name=inline_ifs.NAME, parameters=parameters)
    return [((first, *rewrites), way) for rewrites, way in _ways(inlined, partial(refusals, feeds), warn)]


def _ways(graph: Graph, refused: Callable[..., Collection[int]], warn: Callable[[str], None]) -> Sequence[Way]:
    """The graph as it is and rewritten; only as it is where a rewrite cannot cope with it."""
    try:
        return ways(graph, refused)
    except (MemoryError, WorkerError):
        raise
    except Exception as error:  # noqa: BLE001, a graph that no rewrite was made for
        warn(f"rewrites are left out: {type(error).__name__}: {one_line(str(error), 200)}")
        return (((), graph),)
