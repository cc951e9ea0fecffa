"""Everything about a model that planning needs, before anything is profiled: graphs, shapes and values to run with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chrion_api import InputSpec
from chrion_graph.graph import Graph
from chrion_graph.guesses import completed, guesses
from chrion_graph.inputs import buckets, sample
from chrion_graph.limits import Limits
from chrion_graph.model_worker import ModelWorker
from chrion_graph.observe import observe
from chrion_graph.rewrite import ways
from chrion_graph.samples import Sample, by_bucket
from chrion_graph.worker import ForkServer
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
    on `samples`, each in the bucket of its shapes, and on so many of random values. `warn` is told of shapes that are
    guessed. Raises ModelError.
    """
    graph = Graph.load(folder)
    guessed = guesses(graph.inputs, inputs)
    shapes_of = buckets(graph, completed(inputs, guessed))
    for guess in guessed:
        warn(str(guess))
    values = {spec.name: spec.value for spec in inputs if spec.value is not None}
    feeds_of = [sample(graph.inputs, shapes, values) for shapes in shapes_of]
    samples_of = by_bucket(graph.inputs, shapes_of, samples)
    for further, shapes in zip(samples_of, shapes_of, strict=True):
        further += [sample(graph.inputs, shapes, values, seed) for seed in range(1, random_samples + 1)]
    rewritten = ways(graph, partial(refusals, feeds_of[0]))
    found = []
    with ModelWorker(limits.memory, server=server) as worker:
        for shapes, feeds, further in zip(shapes_of, feeds_of, samples_of, strict=True):
            variants = [
                Rewritten(rewrites, GraphBucket(way, shapes, observe(way, feeds, limits, worker)))
                for rewrites, way in rewritten
            ]
            found.append(PreparedBucket(tuple(variants), feeds, tuple(further)))
    return Prepared(model, digest, folder, tuple(found))
