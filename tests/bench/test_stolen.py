"""The bench of a core that is taken away: the process that takes it, a short run, and what the page says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chrion_bench.contenders import DEFAULT, ONE_THREAD
from chrion_bench.race import Effort
from chrion_bench.stolen import __main__ as bench
from chrion_bench.stolen.kernels import BY_PIECES, BY_UNITS, ONE_LANE
from chrion_bench.stolen.summary import aims, page
from chrion_bench.stolen.thief import NotAllowed, stolen
from tests.support.kernels import needs_kernels

CORE = max(os.sched_getaffinity(0))
ABOUT = {"machine": {"cpu": "CPU", "cores": 2, "system": "Linux"}, "versions": {"numpy": "2"}, "commit": "abc"}


def taken_for_a_moment(share: float) -> float:
    try:
        with stolen(CORE, share) as theft:
            pass
    except NotAllowed as error:
        pytest.skip(str(error))
    return theft.share


def test_a_core_is_taken_for_a_while_and_given_back() -> None:
    assert 0 < taken_for_a_moment(0.25) <= 1
    assert taken_for_a_moment(0.0) == 0


def test_a_core_that_cannot_be_taken_has_a_reason() -> None:
    with pytest.raises(NotAllowed, match="cannot take core 4095 ahead of others: "), stolen(4095, 0.25):
        pass


def test_nothing_is_taken_any_more_once_the_bench_has_died() -> None:
    taken_for_a_moment(0.25)
    nobody = "0"
    command = [sys.executable, "-m", "chrion_bench.stolen.thief", str(CORE), "0.001", nobody]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("ready")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one core")
    monkeypatch.setattr(bench.machine, "describe", lambda: ABOUT)
    monkeypatch.setattr(bench, "MODELS", ("gru-forward-l2-h16-s8-b1",))
    monkeypatch.setattr(bench, "SHARES", (0.0, 0.25))
    monkeypatch.setattr(bench, "EFFORT", Effort(turn_seconds=0.001, processes=1, loading=5))
    output = tmp_path / "stolen.json"

    def run() -> tuple[dict[str, Any], str]:
        assert bench.main(["--rounds", "1", "--output", str(output)]) == 0
        return json.loads(output.read_text()), output.with_suffix(".md").read_text()

    return run


@needs_kernels
def test_a_short_run(run: Any) -> None:
    taken_for_a_moment(0.25)
    report, text = run()
    assert [item["share"] for item in report["results"]] == [0.0, 0.25]
    assert report["results"][0]["taken"] == 0 < report["results"][1]["taken"]
    for item in report["results"]:
        assert list(item["contenders"]) == [DEFAULT, ONE_THREAD, ONE_LANE, BY_UNITS, BY_PIECES]
        assert all("absent" not in found and found["mean"] > 0 for found in item["contenders"].values())
    assert "## gru-forward-l2-h16-s8-b1" in text


def test_where_no_core_can_be_taken_the_page_says_why(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(model: str, share: float, *_: Any) -> dict[str, Any]:
        if share:
            raise NotAllowed("it is not root")
        return item(model, share)

    monkeypatch.setattr(bench, "_one", one)
    report, text = run()
    assert [found["share"] for found in report["results"]] == [0.0]
    assert "**No core was taken: it is not root.**" in text


def item(model: str, share: float, **times: float) -> dict[str, Any]:
    """Milliseconds by name, or 1; a p99 of twice as much."""
    names = {"default": DEFAULT, "one": ONE_LANE, "units": BY_UNITS, "pieces": BY_PIECES}
    found = {
        name: {"mean": times.get(short, 1.0) / 1e3, "p50": 1e-3, "p99": 2 * times.get(short, 1.0) / 1e3}
        for short, name in names.items()
    }
    return {"model": model, "share": share, "taken": share, "contenders": found}


def test_aims_met_and_missed() -> None:
    quarter, good = aims([item("a", 0.0, units=9), item("a", 0.25, units=0.9), item("a", 1.0, units=1.14)])
    assert (quarter.verdict, good.verdict) == ("pass", "pass")
    quarter, good = aims([item("a", 0.25, pieces=1.1), item("b", 0.25), item("a", 1.0, default=9, pieces=1.2)])
    assert (quarter.verdict, quarter.value) == ("miss", "3 of 4; the worst takes ×1.10, a kernel-2-lanes-pieces")
    assert (good.verdict, good.value) == ("miss", "1 of 2; the worst takes ×1.20, a kernel-2-lanes-pieces")
    assert {aim.verdict for aim in aims([item("a", 0.0)])} == {"not measured"}


def test_page_has_a_table_a_model_and_says_what_is_absent() -> None:
    gone = item("a", 1.0)
    gone["contenders"][DEFAULT] = {"absent": "it took too long"}
    report = {**ABOUT, "date": "2026-01-01", "core": 1, "refused": "", "results": [item("a", 0.0), gone]}
    text = page(report)
    assert f"| {DEFAULT} | 1.000 | 1.000 | 2.000 | - | - | - |" in text
    assert f"{DEFAULT} is absent at 100%: it took too long." in text
    assert "Taken in fact: 0.0%, 100.0%." in text
