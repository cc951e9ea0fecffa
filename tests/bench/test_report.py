"""The report: what the page says, and that one bad model or a stopped run loses nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chrion_bench import __main__ as bench
from chrion_bench import machine
from chrion_bench.contenders import CONTROL, DEFAULT, INT8, ONE_THREAD, OPENVINO, PARALLEL
from chrion_bench.measure import PLAN
from chrion_bench.race import Effort
from chrion_bench.report import page
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
            INT8: {**row(1.6), "largestError": 0.0312},
            PLAN: row(gain),
        },
        "limit": 0.625e-3,
        "physicalLimit": 0.25e-3,
        "predictions": [{"plan": "heft", "stages": 2, "predicted": 0.9e-3 / gain, "measured": 1e-3 / gain}],
    }


def page_of(
    results: list[dict[str, Any]],
    failures: list[dict[str, str]] | None = None,
    speeds: dict[str, Any] | None = None,
    idle: float = 0.0,
) -> str:
    place: dict[str, Any] = {"cpu": "CPU", "cores": 2, "system": "Linux", "speeds": speeds or {"absent": "no compiler"}}
    place |= {"lastLevelCacheBytes": 1, "memoryBytesPerSecond": 1e9}
    about = {"date": "2026-01-01", "commit": "abc", "versions": {"numpy": "2"}, "suite": 333, "idleSeconds": idle}
    return page({**about, "machine": place, "results": results, "failures": failures or []})


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


def test_page_shows_both_limits() -> None:
    rates = {"oneCore": 2e11, "allCores": 4e11}
    speeds = {"flopsPerSecond": rates, "reads": [{"bytes": 1 << 16, "bytesPerSecond": rates}]}
    text = page_of([result("g", "gru-forward", 1.25)], speeds=speeds)
    assert "| ×1.25 | ×0.98 | 0.625 | 53% | 0.250 | 27% |" in text
    assert "| bytes, of 64 KiB a core | 200 | 400 |" in text
    without = {**result("g", "gru-forward", 1.25), "physicalLimit": None}
    text = page_of([without])
    assert "there is no physical limit: no compiler" in text
    assert "| 0.625 | 53% | - | - |" in text


def test_page_shows_how_far_int8_is_off() -> None:
    text = page_of([result("g", "gru-forward", 1.25)])
    assert text.rstrip().count("0.031") == 1
    assert "×0.78" in text, "what the plan is over int8"


def test_page_of_calls_with_gaps_says_so() -> None:
    assert "**5 ms without work before each call.**" in page_of([result("g", "gru-forward", 1.25)], idle=0.005)
    assert "without work" not in page_of([result("g", "gru-forward", 1.25)])


def fake_measure(entry: Entry, effort: Effort, machine: Mapping[str, Any]) -> dict[str, Any]:
    if entry.name == "nsnet2-f200":
        raise PlanningError("it fell over")
    return result(entry.name, entry.family, 1.2)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("chrion_bench.machine.memory_bandwidth", lambda threads: 1e10)
    monkeypatch.setattr("chrion_bench.speeds.measured", lambda cores: {"absent": "not here"})
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


def test_calls_with_gaps_stand_in_no_table_with_others(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    efforts = []
    monkeypatch.setattr(bench, "measure", lambda entry, effort, _: efforts.append(effort) or result("s", "real", 1.2))
    _, report = run("--only", "silero", "--idle", "5ms")
    assert report["idleSeconds"] == efforts[0].idle_seconds == 0.005
    assert efforts[0].turn_seconds == pytest.approx(Effort().turn_seconds + 0.06)
    with pytest.raises(SystemExit, match="5 ms between calls, not 0; start over"):
        run("--only", "silero", "--resume")


def test_calls_with_gaps_have_a_file_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "RESULTS", tmp_path)
    monkeypatch.setattr("chrion_bench.machine.describe", lambda: {"machine": {}})
    monkeypatch.setattr("chrion_bench.speeds.measured", lambda cores: {"absent": "not here"})
    written = []
    monkeypatch.setattr(bench, "_write", lambda report, output: written.append(output.name))
    bench.main(["--minutes", "0"])
    bench.main(["--minutes", "0", "--idle", "5ms"])
    assert written == [f"{machine.file_stem()}.json", f"{machine.file_stem()}-idle.json"]


def test_no_model_starts_after_the_minutes(run: Any) -> None:
    _, report = run("--only", "silero", "--minutes", "0")
    assert report["results"] == []


def test_another_commit_is_not_resumed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run("--only", "silero")
    monkeypatch.setattr("chrion_bench.machine.commit", lambda: "another")
    with pytest.raises(SystemExit, match="another; start over"):
        run("--only", "silero", "--resume")
