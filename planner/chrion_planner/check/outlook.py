"""Whether planning is likely to gain, and by what: from the graph alone, before anything is measured."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from chrion_graph.graph import Graph
from chrion_graph.recurrent import direction, is_recurrent
from chrion_graph.rewrite import REWRITES, Substitute
from chrion_planner.check.branches import apart, works
from chrion_planner.check.report import Outlook
from chrion_planner.check.rolling import Rolled

LARGE = 0.1
"""The part of all weights from which on a gain in them is likely to be one of the whole."""
WIDE = 0.25
"""The part of all weights beside the longest way from which on several lanes may be worth it. Less than that is in most
models, such as the three products of an attention."""
NOTHING = "ONNX Runtime would run all of it, one node after another: what is left to choose is how many cores it takes"


def outlook(
    rolled: Rolled, stacks: Sequence[Collection[int]], in_ifs: int, in_loops: int
) -> tuple[Outlook, tuple[str, ...]]:
    """The verdict and its reasons, the weightiest first.

    `stacks` are the nodes that Chrion's kernels take; so many recurrent layers are in Ifs, and in Loops and Scans.
    """
    graph = rolled.graph
    taken = {index for stack in stacks for index in stack if is_recurrent(graph.nodes[index])}
    reasons = [*_taken(rolled, taken, len(stacks)), *_side_by_side(graph, taken)]
    if in_ifs:
        reasons.append(f"{counted(in_ifs)} inside Ifs, in whose place planning puts the branch that runs, where it can")
    if not reasons:
        out_of_reach = f"{counted(in_loops)} inside loops: nothing but ONNX Runtime gets there, as the model is"
        return Outlook.LITTLE, (NOTHING, *([out_of_reach] if in_loops else []))
    likely = bool(taken) and _share(graph, taken) >= LARGE
    return Outlook.LIKELY if likely else Outlook.POSSIBLE, tuple(reasons)


def _taken(rolled: Rolled, taken: Collection[int], stacks: int) -> Iterator[str]:
    """What kernels of whole layers are good for."""
    if made := len(rolled.made):
        rewrites = " and ".join(sorted(set(rolled.made.values())))
        yield f"{rewrites} makes {counted(made)} of {rolled.gone:,} nodes that were unrolled"
    if taken:
        share = _share(rolled.graph, taken)
        small = "" if share >= LARGE else ": what they gain may not show in the whole"
        kernels = "as one kernel" if stacks == 1 else f"as {stacks:,} kernels"
        yield f"Chrion's kernels take {counted(len(taken))} {kernels}, with {share:.0%} of the weights{small}"


def _side_by_side(graph: Graph, taken: set[int]) -> Iterator[str]:
    """What several lanes are good for."""
    if both := sum(is_recurrent(node) and direction(node) == b"bidirectional" for node in graph.nodes):
        yield f"both directions of {counted(both)} can run side by side"
    proposed = _proposed(graph)
    stacks = proposed.get("wavefront", {}).get("stacks", [])
    if left := sum(len(stack) for stack in stacks if not taken & set(stack)):
        yield f"{counted(left)} on top of each other can run side by side, in chunks of time"
    if products := proposed.get("hoist-projections", {}).get("products"):
        yield f"{products:,} groups of products with the same weights can be one product each"
    if (share := apart(graph)) >= WIDE:
        yield f"there are branches that do not need each other: {share:.0%} of the weights are beside the longest way"


def _proposed(graph: Graph) -> dict[str, Any]:
    """The first parameters of each rewrite that leaves the graph without it in the running."""
    modules = [one for one in REWRITES.values() if not isinstance(one, Substitute) and not one.SUPERSEDES]
    return {module.NAME: next(module.propose(graph), {}) for module in modules}


def _share(graph: Graph, nodes: Collection[int]) -> float:
    """The part of all weights that some nodes have."""
    work = works(graph)
    return sum(work[index] for index in nodes) / max(sum(work), 1)


def counted(layers: int) -> str:
    """So many recurrent layers, in words."""
    return f"{layers:,} recurrent layer{'' if layers == 1 else 's'}"
