"""The ways in which a graph is rewritten: which come first, how many, and none for nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from chrion_api import Rewrite
from chrion_graph import rewrite
from chrion_graph.attributes import integer
from chrion_graph.errors import RewriteError
from chrion_graph.graph import Graph
from chrion_graph.rewrite import REWRITES, replay, split_directions, wavefront, ways
from chrion_models.families import cases
from chrion_models.families.stack import stack
from chrion_models.families.unrolled import unrolled
from tests.support.one_layer import OneLayer
from tests.support.partition import normalised


def names(graph: Graph) -> list[str]:
    return [" ".join(each.name for each in rewrites) for rewrites, _ in ways(graph)]


def test_what_can_be_layers_is_not_cut_up_in_other_ways(tmp_path: Path) -> None:
    graph = normalised(unrolled("LSTM", 2, 64, 32, 1).build(), tmp_path)
    assert list(REWRITES["hoist-projections"].propose(graph)), "there would be another way"
    assert names(graph) == ["", "re-roll", "re-roll wavefront"]


def test_others_go_on_from_what_is_rewritten_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def apply(start: Graph, _: Mapping[str, Any]) -> Graph:
        model = onnx.ModelProto()
        model.CopyFrom(start.model)
        model.graph.node[0].name = "marked"
        return Graph(model, start.folder)

    mark = SimpleNamespace(NAME="mark", SUPERSEDES=False, propose=lambda _: iter([{}]), apply=apply)
    monkeypatch.setitem(REWRITES, "mark", mark)
    graph = normalised(stack("GRU", "forward", 2, 8, 64, 1).build(), tmp_path)
    assert names(graph) == ["", "wavefront", "wavefront", "wavefront mark", "wavefront mark", "mark"]


@pytest.mark.parametrize("family", ["crnn", "encoder-decoder"])
def test_every_way_can_be_replayed(family: str, tmp_path: Path) -> None:
    graph = normalised(cases(small=True, family=family)[0].build(), tmp_path)
    found = ways(graph)
    assert found[0] == ((), graph)
    assert all(replay(graph, rewrites).digest == other.digest for rewrites, other in found)


def test_no_more_than_asked_for_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = normalised(stack("GRU", "forward", 2, 8, 64, 1).build(), tmp_path)
    made = []

    def apply(start: Graph, parameters: Mapping[str, Any]) -> Graph:
        made.append(parameters)
        return original(start, parameters)

    original = wavefront.apply
    monkeypatch.setattr(wavefront, "apply", apply)
    assert len(ways(graph)) == 1 + len(made) == 3
    made.clear()
    monkeypatch.setattr(rewrite, "MOST_WAYS", 2)
    assert len(ways(graph)) == 1 + len(made) == 2


def test_the_same_graph_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = normalised(stack("GRU", "bidirectional", 2, 8, 8, 1).build(), tmp_path)
    again = SimpleNamespace(
        NAME="again", SUPERSEDES=False, propose=split_directions.propose, apply=split_directions.apply
    )
    monkeypatch.setitem(REWRITES, "again", again)
    assert names(graph) == ["", "split-directions"]


def test_nodes_that_a_device_refuses_get_others_in_their_place(tmp_path: Path) -> None:
    graph = normalised(OneLayer("GRU").model(), tmp_path)
    asked: list[tuple[int, ...]] = []

    def refused(_: Graph, nodes: Sequence[int]) -> Sequence[int]:
        asked.append(tuple(nodes))
        return nodes

    assert names(graph) == [""]
    found = ways(graph, refused)
    assert [[each.name for each in rewrites] for rewrites, _ in found] == [[], ["unroll"]]
    assert asked == [(0,)], "nothing can take the node's place alone"
    assert replay(graph, found[1][0]).digest == found[1][1].digest


def test_where_one_node_can_take_the_place_of_another_all_goes_on_from_it(tmp_path: Path) -> None:
    layer = OneLayer("GRU", "bidirectional", steps=1)

    def refused(graph: Graph, nodes: Sequence[int]) -> list[int]:
        return [index for index in nodes if not integer(graph.nodes[index], "linear_before_reset", 0)]

    found = ways(normalised(layer.model(), tmp_path), refused)
    assert [" ".join(each.name for each in rewrites) for rewrites, _ in found] == [
        "",
        "reset-after",
        "reset-after split-directions",
    ]


def test_each_rewrite_has_a_place_of_its_own() -> None:
    assert len({module.PLACE for module in REWRITES.values()}) == len(REWRITES)


def test_a_plan_with_a_rewrite_that_is_gone_says_to_plan_again(tmp_path: Path) -> None:
    graph = normalised(OneLayer("GRU").model(), tmp_path)
    with pytest.raises(
        RewriteError, match=r'^rewrite "split-wide" is unknown; this version has .*: plan again with it$'
    ):
        replay(graph, [Rewrite(name="split-wide", parameters={"nodes": [0], "parts": 2})])
