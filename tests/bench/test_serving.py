"""The serving bench: a real server under its load generator, and what the page says of the figures."""

import os
from pathlib import Path
from typing import Any

import pytest

from chrion_bench.serving import isolation, process, runaway
from chrion_bench.serving.client import Job
from chrion_bench.serving.contenders import bare, chrion
from chrion_bench.serving.models import TINY, request, write
from chrion_bench.serving.process import Program, ServerFailed, check, once, running
from chrion_bench.serving.summary import aims, gain, page
from chrion_bench.serving.throughput import prepared, wanted
from chrion_bench.workplace import workplace

CORES = {0}


@pytest.mark.parametrize("program", [chrion(), bare("uvloop")], ids=lambda program: program.name)
def test_every_request_is_answered_and_counted(program: Program) -> None:
    with workplace() as folder:
        write(TINY, folder)
        with running(program, [TINY], folder, CORES) as server:
            assert server.memory > 0
            for kind in ("json", "binary"):
                path, content = prepared(TINY, kind, folder)
                check(server, TINY, content, wanted(TINY, folder))
                (closed,) = once(Job(server.port, (path,), 0.3, connections=3, warm_seconds=0.1), CORES)
                assert set(closed["answers"]) == {"200"}
                assert 0 <= closed["sent"] - closed["answers"]["200"]["count"] <= 3
                job = Job(server.port, (path,), 0.4, 50.0, warm_seconds=0.0, marks=(0.2,), rates=(100.0,), within=60.0)
                first, second = once(job, CORES)
                # The last one may be due just before the end, or at it.
                assert first["sent"] in (10, 11)
                assert second["sent"] in (20, 21)
                assert second["answers"]["200"]["count"] == second["sent"]
                assert second["within"] == 1.0
            refused = folder / "refused.http"
            refused.write_bytes(request(TINY, True, TINY.feeds()).replace(b"/tiny/", b"/none/"))
            (count,) = once(Job(server.port, (str(refused),), 0.1, 20.0, warm_seconds=0.0), CORES)
            assert count["answers"]["404"]["count"] == count["sent"] > 0
            with pytest.raises(ServerFailed, match="wrongly"):
                check(server, TINY, content, wanted(TINY, folder) + 1)


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    program = Program("none", Path("/usr/bin/env"), Path("false"))
    with pytest.raises(ServerFailed, match="none: ended with exit code 1"), running(program, [TINY], tmp_path, CORES):
        pass


@pytest.fixture
def once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with --quick, less of it, and on whatever cores there are."""
    monkeypatch.setattr(process, "most_times", 1)
    monkeypatch.setattr(runaway, "WAYS", {"a process each": runaway.WAYS["a process each"]})
    monkeypatch.setattr(runaway, "BEGIN_SECONDS", 0.1)
    monkeypatch.setattr(runaway, "WARM_SECONDS", 0.3)
    monkeypatch.setattr(runaway, "AFTER_SECONDS", 0.2)
    monkeypatch.setattr(isolation, "MODELS", (TINY,))
    for module in (runaway, isolation):
        monkeypatch.setattr(module, "SERVER_CORES", CORES)
        monkeypatch.setattr(module, "CLIENT_CORES", os.sched_getaffinity(0))


@pytest.mark.usefixtures("once_each")
def test_runaways_and_isolation_are_measured_and_told() -> None:
    said: list[str] = []
    with workplace() as folder:
        beside = runaway.runaway(folder, 0.3, said.append)
        costs = isolation.isolation(folder, 0.2, said.append)
    assert len(said) == len(beside) + len(costs) == 3
    assert all(one["runaway"]["failed"] == 0 and one["backSeconds"] >= 0 for one in beside)
    assert all(one["ratio"] > 0 for one in costs)
    report = {**HEAD, "runaway": beside, "isolation": costs}
    assert len(aims(report)) == 2 + 1
    assert "| a process each |" in page(report)
    assert "| tiny | back to back |" in page(report)


@pytest.mark.parametrize(("over", "failed", "verdict"), [(0.19, 0, "pass"), (0.21, 0, "miss"), (0.0, 1, "miss")])
def test_what_a_runaway_may_cost(over: float, failed: int, verdict: str) -> None:
    item = {"way": "one process", "rise": 0.5, "overControl": over, "backSeconds": 0.5, "runaway": {"failed": failed}}
    assert [aim.verdict for aim in aims({"runaway": [item]})] == [verdict, "pass"]


HEAD = {"machine": {"cpu": "Some CPU", "cores": 2}, "versions": {"chrion": "1"}, "date": "today", "commit": "abc"}


def figures(server: str, kind: str, *rounds: float) -> dict[str, Any]:
    return {
        "server": server,
        "model": "tiny",
        "format": kind,
        "rounds": [{"perSecond": value} for value in rounds],
        "perSecond": rounds[0],
        "p99": 1e-3,
        "cpuSeconds": 1e-4,
    }


def test_gains_compare_what_was_measured_in_the_same_round() -> None:
    results = [figures("chrion", "json", 100, 50, 30), figures("mlserver", "json", 20, 10, 10)]
    assert gain(results, "tiny", "json", "mlserver") == 5
    assert gain(results, "tiny", "json", "kserve") is None


def test_the_page_names_what_was_missed_and_what_is_absent() -> None:
    absent = {"server": "kserve", "model": "tiny", "format": "binary", "rounds": [], "absent": "no wheel"}
    report = {**HEAD, "throughput": [figures("chrion", "json", 100), figures("mlserver", "json", 50), absent]}
    verdicts = {aim.text: aim.verdict for aim in aims(report)}
    assert verdicts["requests/s of a small model, json: at least ×3.5 of mlserver"] == "miss"
    assert verdicts["requests/s of a small model, binary: at least ×4 of kserve"] == "not measured"
    assert "| kserve | tiny | binary | - | - | - | no wheel |" in page(report)
