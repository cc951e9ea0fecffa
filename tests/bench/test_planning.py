"""The planning bench: the same instances every time, a run that goes on where it ended, and what the page says."""

import json
import random
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from chrion_api import HOST
from chrion_bench.planning import __main__ as bench
from chrion_bench.planning import contenders, gaps, scale
from chrion_bench.planning.instances import MACHINES, Instance, instances, layered
from chrion_bench.planning.process import Failed, in_own_process
from chrion_bench.planning.records import Records, describe
from chrion_bench.planning.summary import aims, page
from chrion_oracles.rules import validate_schedule
from chrion_planner.partition.heft import heft
from tests.support.schedules import best_device


def test_instances_are_named_problems_of_their_size() -> None:
    names = set()
    for instance in instances():
        names.add(instance.name)
        assert 20 <= len(instance.problem.tasks) <= 60
        assert len(instance.problem.lanes) == sum(MACHINES[instance.machine])
    assert len(names) == 200


def test_instances_are_the_same_every_time_and_can_be_run() -> None:
    for one, again in islice(zip(instances(), instances(), strict=True), 0, None, 23):
        assert one.problem.seconds == again.problem.seconds
        assert list(one.problem.tasks.edges(data=True)) == list(again.problem.tasks.edges(data=True))
        schedule = best_device(one.problem)
        assert schedule is not None
        validate_schedule(one.problem, schedule)


def test_gaps_of_one_small_instance() -> None:
    problem = layered(random.Random(0), "2-cpu", 8, width=3)
    found = gaps.gaps(Instance("small", "layered", "2-cpu", problem), 10, ("highs",))
    assert json.loads(json.dumps(found)) == found
    proof = found["solvers"]["highs"]
    assert proof["optimal"]
    assert found["bound"] <= proof["bound"] == proof["makespan"] <= found["schedules"]["search"]
    assert found["stages"]["ours"] == min(found["stages"].values())
    assert {"heft", "cpop", "peft", "single"} < set(found["stages"])
    assert found["stages"]["ours"] >= proof["makespan"], "hops come on top"


def test_heft_is_that_of_the_package() -> None:
    """Without hand-offs, whose mean the package takes otherwise, and with costs that make no ties."""
    pytest.importorskip("saga")
    for seed in range(3):
        problem = layered(random.Random(seed), "3-cpu", 25, width=5)
        free = replace(problem, handoff={HOST: 0.0})
        ours = heft(free)
        assert ours is not None
        assert contenders.saga(free)["saga-heft"].makespan == pytest.approx(ours.makespan)


def test_the_package_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("saga")
    problem = layered(random.Random(1), "2-cpu", 10, width=4)
    assert sum(not read for read in problem.producers) > 1, "what it warns of"
    assert contenders.saga(problem)
    assert not caplog.records


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(Failed, match="no-such-problem"):
        in_own_process(scale.__name__, "no-such-problem")


def result(name: str, ours: float = 1.0, search: float = 1.0, optimal: bool = True) -> dict[str, Any]:
    kind, machine = name.split("-", 1)
    return {
        "name": name,
        "kind": kind,
        "machine": machine,
        "tasks": 20,
        "bound": 0.5,
        "planningSeconds": 2.0,
        "searchSeconds": 1.0,
        "schedules": {"search": search, "heft": 1.2},
        "stages": {"ours": ours, "heft": 1.2, "cpop": 1.0, "single": 2.0},
        "winner": "search",
        "solvers": {"cp-sat": {"makespan": 1.0, "bound": 1.0 if optimal else 0.8, "optimal": optimal, "seconds": 1.0}},
        "jobs": 1,
    }


def records_of(*results: dict[str, Any], seconds: float = 300.0) -> Records:
    records = Records(None, describe(seconds, ("cp-sat",)))
    for each in results:
        records.add("instances", each)
    return records


def test_page_names_what_is_worse_than_another() -> None:
    text = page(records_of(result("grid-a"), result("grid-b", ours=1.01), result("layered-b", search=1.03)))
    assert "3 of the 200 named instances were run; exact: cp-sat, each limited to 300 s" in text
    assert "| grid-b | cpop | 1.00% |" in text
    assert "| layered-b | 3.00% |" in text
    assert "| cpop | 3 | 0 | 2 | 1 |" in text
    assert "grid-a |" not in text


def test_aims_met_missed_and_left_open() -> None:
    def verdicts(*results: dict[str, Any], seconds: float = 300.0) -> list[str]:
        return [aim.verdict for aim in aims(records_of(*results, seconds=seconds))][:3]

    unproved = result("grid-b", optimal=False)
    assert verdicts(result("grid-a")) == ["pass", "pass", "pass"]
    assert verdicts(result("grid-a", ours=1.01, search=1.03), unproved) == ["miss", "miss", "miss"]
    assert verdicts(result("grid-a"), unproved, seconds=5) == ["not measured", "pass", "pass"]
    assert verdicts() == ["not measured"] * 3


def test_large_problems_are_held_to_time_and_memory() -> None:
    records = records_of()
    large = {"tasks": 10_000, "coarse": 9, "coarsenSeconds": 0.1, "problemBytes": 1, "stages": 4, "winner": "heft"}
    large |= {"makespan": 1.1, "bound": 1.0, "jobs": 1}
    records.add("scale", {"name": "a-10k", "seconds": 1.5, "peakBytes": 2 << 30, **large})
    records.add("scale", {"name": "a-100k", "seconds": 40.0, "peakBytes": 2 << 30, **large})
    assert [aim.verdict for aim in aims(records)][3:] == ["miss", "pass"]
    assert "| a-10k | 10000 | 9 | 4 | 0.10 | 1.50 | 0 | 2048 | 10.00% | heft | 2 s and 1024 MiB |" in page(records)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def found(module: str, name: str, *more: str) -> dict[str, Any]:
        asked.append(name)
        if name in broken:
            raise Failed("it fell over")
        return result(name)

    def run(*arguments: str) -> tuple[int, list[str]]:
        asked.clear()
        return bench.main(["--out", str(tmp_path), "--no-scale", *arguments]), sorted(asked)

    asked: list[str] = []
    broken: set[str] = set()
    run.broken = broken  # type: ignore[attr-defined]
    monkeypatch.setattr(bench, "in_own_process", found)
    return run


def test_a_run_goes_on_where_it_ended(run: Any, tmp_path: Path) -> None:
    first = [instance.name for instance in islice(instances(), 3)]
    run.broken.add(first[1])
    assert run("--limit", "2") == (1, sorted(first[:2]))
    (path,) = tmp_path.glob("*.jsonl")
    assert "it fell over" in path.with_suffix(".md").read_text()
    path.write_text(path.read_text() + '{"table": "inst')
    run.broken.clear()
    assert run("--limit", "3", "--jobs", "2") == (0, sorted(first[1:]))
    assert run("--limit", "3") == (0, [])
    text = path.with_suffix(".md").read_text()
    assert "3 of the 200 named instances were run;" in text
    assert "it fell over" not in text


def test_another_limit_or_commit_is_kept_apart(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(run("--limit", "2")[1]) == 2
    assert len(run("--limit", "1", "--seconds", "5")[1]) == 1
    monkeypatch.setattr("chrion_bench.planning.records.commit", lambda: "another")
    assert len(run("--limit", "1")[1]) == 1
    monkeypatch.undo()
    (path,) = tmp_path.glob("*.jsonl")
    assert len(Records(path, describe(300.0, gaps.usable()[:1])).results("instances")) == 2, "nothing is lost"
    assert "1 of the 200" in path.with_suffix(".md").read_text()
