"""The report: what is counted and how, and that one bad model or a stopped run loses nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from chrion_bench import __main__ as bench
from chrion_bench.contenders import CONTROL, DEFAULT, ONE_THREAD, OPENVINO, PARALLEL
from chrion_bench.measure import PLAN
from chrion_bench.race import Effort
from chrion_bench.report import aims, page
from chrion_bench.suite import Entry
from chrion_planner.errors import PlanningError


def result(model: str, family: str, gain: float, **openvino: Any) -> dict[str, Any]:
    def row(gain: float) -> dict[str, float]:
        return {"p50": 1e-3 / gain, "gain": gain}

    return {
        "model": model,
        "family": family,
        "wholeLayer": family != "unrolled",
        "plan": {"name": "heft", "stages": 2, "rewrites": []},
        "contenders": {
            DEFAULT: row(1.0),
            CONTROL: row(0.98),
            ONE_THREAD: row(0.8),
            PARALLEL: row(0.9),
            OPENVINO: openvino or row(0.5),
            PLAN: row(gain),
        },
        "limit": 0.625e-3,
        "predictions": [{"plan": "heft", "stages": 2, "predicted": 0.9e-3 / gain, "measured": 1e-3 / gain}],
    }


def test_aims_met_and_missed() -> None:
    results = [result("u1", "unrolled", 2.0), result("u2", "unrolled", 4.5), result("g", "gru-forward", 1.25)]
    assert [aim.verdict for aim in aims(results)] == ["pass", "miss", "pass"]
    assert [aim.value for aim in aims(results)][:2] == ["×3.00", "53%"]
    slower = [*results, result("l", "gru-forward", 0.9)]
    assert aims(slower)[2].verdict == "miss"
    assert aims(slower)[2].value == "1 of 4 below, the least ×0.90"
    assert {aim.verdict for aim in aims([])} == {"not measured"}


def page_of(results: list[dict[str, Any]], failures: list[dict[str, str]] | None = None) -> str:
    machine = {"cpu": "CPU", "cores": 2, "lastLevelCacheBytes": 1, "memoryBytesPerSecond": 1e9, "system": "Linux"}
    about = {"date": "2026-01-01", "commit": "abc", "versions": {"numpy": "2"}, "suite": 333}
    return page({**about, "machine": machine, "results": results, "failures": failures or []})


def test_page_says_how_much_was_measured_and_what_is_absent() -> None:
    text = page_of(
        [result("g", "gru-forward", 1.25), result("s", "real", 1.1, absent="no such node | here")],
        [{"model": "bad", "family": "real", "error": "it fell over"}],
    )
    assert "2 of the 333 models" in text
    assert "came out at ×0.98 … ×0.98 of itself" in text
    assert "| s | openvino-latency | no such node \\| here |" in text
    assert "| bad | it fell over |" in text
    assert "| several stages | 2 | 100% | 10.0% |" in text
    assert "| all | 2 | ×1.17 |" in text
    assert "×2.50 (1)" in text, "the mean over OpenVINO says how many models it ran"


def fake_measure(entry: Entry, effort: Effort, bandwidth: float) -> dict[str, Any]:
    if entry.name == "nsnet2-f200":
        raise PlanningError("it fell over")
    return result(entry.name, entry.family, 1.2)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("chrion_bench.machine.memory_bandwidth", lambda threads: 1e10)
    monkeypatch.setattr(bench, "measure", fake_measure)
    output = tmp_path / "results.json"

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = bench.main(["--output", str(output), *arguments])
        return code, json.loads(output.read_text())

    return run


def test_a_bad_model_is_reported_and_the_run_goes_on(run: Any, tmp_path: Path) -> None:
    code, report = run("--only", "nsnet2", "--only", "silero")
    assert code == 1
    assert [item["model"] for item in report["results"]] == ["nsnet2-f50", "silero_vad"]
    assert report["failures"] == [{"model": "nsnet2-f200", "family": "real", "error": "it fell over"}]
    assert "it fell over" in (tmp_path / "results.md").read_text()


def test_a_stopped_run_is_resumed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run("--only", "nsnet2-f50")
    measured = []
    monkeypatch.setattr(bench, "measure", lambda entry, *rest: measured.append(entry) or fake_measure(entry, *rest))
    code, report = run("--only", "nsnet2-f50", "--only", "silero", "--resume")
    assert code == 0
    assert [entry.name for entry in measured] == ["silero_vad"]
    assert [item["model"] for item in report["results"]] == ["nsnet2-f50", "silero_vad"]


def test_no_model_starts_after_the_minutes(run: Any) -> None:
    _, report = run("--only", "silero", "--minutes", "0")
    assert report["results"] == []


def test_another_commit_is_not_resumed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run("--only", "silero")
    monkeypatch.setattr("chrion_bench.machine.commit", lambda: "another")
    with pytest.raises(SystemExit, match="another; start over"):
        run("--only", "silero", "--resume")
