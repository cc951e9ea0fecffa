"""The parts of live plans: windows, drift, watching, ladders, routes and the files that are read."""

import gzip
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chrion_api import SLO, Frontier, GpuBytes, Latency, Mode, Objective, Plan, Stage
from chrion_runtime.choice.documents import read_objective, read_plan_file
from chrion_runtime.choice.ladder import gpu_bytes, ladder, rung_for, selections
from chrion_runtime.errors import PlanRefused, Unreadable
from chrion_runtime.live import Watch
from chrion_runtime.live.drift import Drift, DriftTuning
from chrion_runtime.live.route import peak, route
from chrion_runtime.live.window import AnswerWindow

MI = 1 << 20


def plan(name, milliseconds=10.0, memory=0, context=0, device="emulated:0", **update):
    """A plan of one stage that takes so long and, on its device, so much memory in MiB."""
    seconds = milliseconds / 1e3
    stage = Stage(nodes=(0,), lanes=(f"{device}/0" if memory else "cpu/0",), finish_seconds=seconds)
    return Plan(
        name=name,
        graph="0" * 64,
        stages=(stage,),
        predicted_seconds=seconds,
        measured=Latency(p50=seconds, p90=seconds, p99=seconds, repetitions=9),
        gpu_bytes=GpuBytes(weights=memory * MI, context=context * MI),
    ).model_copy(update=update)


def frontier(*plans):
    return Frontier(inputs={"x": (1,)}, plans=plans)


class TestWindow:
    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.lists(st.floats(1e-5, 5), max_size=80), min_size=1, max_size=20),
        st.sampled_from([50.0, 90.0, 99.0]),
    )
    def test_percentiles_are_those_of_the_last_minute(self, batches, percentile):
        window = AnswerWindow(0.0, span=60)
        for index, batch in enumerate(batches):
            window.add(batch, None, index * 5.0)
        now = (len(batches) - 1) * 5.0
        kept = sorted(value for batch in batches[-12:] for value in batch)
        seen = window.at(percentile, now)
        assert seen.samples == len(kept)
        if kept:
            exact = kept[int(percentile / 100 * (len(kept) - 1))]
            assert seen.seconds == pytest.approx(exact, rel=0.015)

    def test_what_is_over_the_target_is_counted_exactly(self):
        window = AnswerWindow(0.0)
        window.add([0.1, 0.1000001, 0.2, 0.05], 0.1, 0.0)
        window.add([0.3], 0.1, 1.0)
        assert (window.at(99, 1.0).samples, window.at(99, 1.0).over) == (5, 3)

    def test_who_got_no_answer_is_over_the_target(self):
        window = AnswerWindow(0.0)
        window.add([0.1, math.inf, math.inf], 0.2, 0.0)
        seen = window.at(99, 0.0)
        assert (seen.samples, seen.over) == (3, 2)
        assert seen.seconds == pytest.approx(0.1, rel=0.015)

    def test_it_begins_anew(self):
        AnswerWindow(0.0).add([0.1], None, 5.0)
        window = AnswerWindow(7.0)
        seen = window.at(99, 10.0)
        assert (seen.samples, seen.seconds, seen.span) == (0, None, 3.0)


class TestDrift:
    TUNING = DriftTuning(window_seconds=10, in_a_row=3, least_runs=20)

    def drift(self, *milliseconds):
        """A plan whose stages run one after another and take so long."""
        ends = np.cumsum(milliseconds) / 1e3
        stages = tuple(
            Stage(nodes=(index,), lanes=("cpu/0",), start_seconds=end - one / 1e3, finish_seconds=end)
            for index, (one, end) in enumerate(zip(milliseconds, ends, strict=True))
        )
        one = plan("p").model_copy(update={"stages": stages, "predicted_seconds": ends[-1], "measured": None})
        return Drift(one, self.TUNING, 0.0)

    def windows(self, drift, count, *milliseconds, noise=0.0, begin=0, off_profile=False):
        """So many windows in which stages take so long, four of five runs more by the noise."""
        for index in range(begin, begin + count):
            for step in range(1, 11):
                runs = [
                    (stage, one / 1e3 * (1 + (noise if run % 5 else 0)))
                    for run in range(10)
                    for stage, one in enumerate(milliseconds)
                ]
                drift.add(runs, off_profile, index * 10 + step)
        return drift.problem

    def test_as_planned(self):
        assert self.windows(self.drift(2, 3), 10, 2.2, 2.6) == ""

    def test_other_requests_are_no_drift(self):
        assert self.windows(self.drift(2, 3), 10, 2, 3, noise=4.0) == ""

    def test_the_whole_is_off_from_the_start(self):
        drift = self.drift(2, 3)
        assert self.windows(drift, 2, 3, 4) == ""
        assert (
            self.windows(drift, 1, 3, 4, begin=2) == "all stages together take 7000 µs, but the plan predicts 5000 µs"
        )

    def test_one_stage_drifts_and_comes_back(self):
        drift = self.drift(2, 30)
        assert self.windows(drift, 2, 2, 30) == ""
        assert (
            self.windows(drift, 3, 3, 30, begin=2) == "stage 0 takes 3000 µs, but took 2000 µs when the plan was loaded"
        )
        assert self.windows(drift, 2, 2, 30, begin=5)
        assert self.windows(drift, 1, 2, 30, begin=7) == ""

    def test_a_prediction_of_one_stage_that_was_rough_is_no_drift(self):
        assert self.windows(self.drift(2, 3), 10, 1, 4) == ""

    def test_requests_of_other_shapes_do_not_count(self):
        assert self.windows(self.drift(2, 3), 10, 20, 30, off_profile=True) == ""


class TestWatch:
    def test_nothing_changes(self, tmp_path):
        path = tmp_path / "plan.json"
        path.write_text("one")
        watch = Watch(path)
        assert [watch.changed() for _ in range(3)] == [False] * 3

    @pytest.mark.parametrize("how", ["link", "rename", "in place"])
    def test_a_change_is_told_once(self, mount, how):
        mount.put(plan_json="one")
        path = mount.path("plan.json")
        watch = Watch(path)
        if how == "link":
            mount.put(plan_json="two")
        elif how == "rename":
            mount.path("aside").write_text("two")
            mount.path("aside").replace(path)
        else:
            path.write_text("two!")
        assert [watch.changed() for _ in range(4)] == [False, True, False, False]

    def test_an_edit_that_goes_on_is_waited_for(self, tmp_path):
        path = tmp_path / "plan.json"
        path.write_text("one")
        watch = Watch(path)
        told = []
        for length in range(4):
            path.write_text("two" * (length + 1))
            told.append(watch.changed())
        assert not any(told)
        assert watch.changed()

    def test_it_vanishes_and_comes_back(self, tmp_path):
        path = tmp_path / "plan.json"
        watch = Watch(path)
        assert not watch.changed()
        assert watch.vanished()
        assert not watch.vanished()
        path.write_text("one")
        assert [watch.changed() for _ in range(3)] == [False, True, False]
        assert not watch.vanished()


class TestLadder:
    def test_a_rung_for_each_latency_over_all_buckets(self):
        short = frontier(plan("a", 1, 100), plan("b", 5))
        long = frontier(plan("c", 10, 200), plan("d", 20, 50), plan("e", 50))
        rungs = ladder((short, long), SLO())
        assert [rung.name for rung in rungs] == ["a + c", "b + c", "b + d", "b + e"]
        assert [rung.seconds for rung in rungs] == [0.010, 0.010, 0.020, 0.050]

    @pytest.mark.parametrize(
        ("slo", "mode", "name"),
        [
            ({}, "Latency", "a + c"),
            ({}, "Memory", "b + e"),
            ({"latency": "20ms"}, "Auto", "b + d"),
            ({"latency": "10ms"}, "Auto", "b + c"),
            ({"latency": "7ms"}, "Auto", "b + c"),  # c misses it whatever a does
            ({"gpuMemory": "250Mi"}, "Latency", "b + c"),
            ({"gpuMemory": "100Mi"}, "Latency", "b + d"),
            ({"gpuMemory": "0"}, "Latency", "b + e"),
        ],
    )
    def test_what_an_objective_chooses(self, slo, mode, name):
        buckets = (
            frontier(plan("a", 1, 100), plan("b", 5)),
            frontier(plan("c", 10, 200, device="emulated:1"), plan("d", 20, 50, device="emulated:1"), plan("e", 50)),
        )
        objective = Objective.parse({**slo, "mode": mode})
        rungs = ladder(buckets, objective)
        rung = rungs[rung_for(rungs, objective)]
        assert rung.name == name
        assert all(one.reason for one in selections(buckets, rung, objective))

    def test_what_is_seen_corrects_what_is_expected(self):
        rungs = ladder((frontier(plan("fast", 10, 100), plan("small", 30)),), SLO())
        wanted = Objective.parse({"latency": "40ms"})
        assert rungs[rung_for(rungs, wanted)].name == "small"
        assert rungs[rung_for(rungs, wanted, ratio=1.5)].name == "fast"
        assert rungs[rung_for(rungs, wanted, without={0}, ratio=1.5)].name == "small"
        with pytest.raises(PlanRefused):
            rung_for(rungs, wanted, without={0, 1})

    def test_no_rung_within_the_memory(self):
        buckets = frontier(plan("a", 1, 100)), frontier(plan("b", 1, 100, device="emulated:1"))
        with pytest.raises(PlanRefused, match=r"^slo.gpuMemory: 150Mi is less than any plan needs; .* 209715200 bytes"):
            ladder(buckets, SLO.parse({"gpuMemory": "150Mi"}))

    def test_memory_of_plans_side_by_side(self):
        one, other = plan("a", 1, 100, context=300), plan("b", 1, 50, device="emulated:1", context=300)
        assert gpu_bytes([one, other]) == 450 * MI
        assert gpu_bytes([one, one.model_copy(update={"name": "same stages"})]) == 400 * MI
        assert gpu_bytes([plan("cpu", 1)]) == 0

    @pytest.mark.parametrize("change", [{"options": {"capture": True}}, {"lanes": ("emulated:0/1",)}])
    def test_memory_of_plans_that_share_no_kernel(self, change):
        """What is captured, or on another lane, is loaded once more: it counts so, too."""
        one = plan("a", 1, 100)
        twin = one.model_copy(update={"stages": tuple(stage.model_copy(update=change) for stage in one.stages)})
        assert gpu_bytes([one, twin]) == 200 * MI


class TestRoute:
    big, mid, cpu = plan("big", 1, 800), plan("mid", 10, 300, device="emulated:1"), plan("cpu", 100)

    def rungs(self, *plans):
        return ladder((frontier(*plans),), SLO())

    def go(self, held, to, budget, *plans):
        rungs = self.rungs(*plans)
        target = next(rung for rung in rungs if rung.name == to.name)
        return [rung.name for rung in route(held, rungs, target, budget and budget * MI)]

    def test_directly_where_both_fit(self):
        assert self.go([self.big], self.mid, 1100, self.big, self.mid, self.cpu) == ["mid"]
        assert self.go([self.big], self.mid, None, self.big, self.mid) == ["mid"]

    def test_through_one_that_needs_no_gpu_where_they_do_not(self):
        assert self.go([self.big], self.mid, 1000, self.big, self.mid, self.cpu) == ["cpu", "mid"]
        assert self.go([self.mid], self.big, 1000, self.big, self.mid, self.cpu) == ["cpu", "big"]

    def test_through_the_fastest_that_fits_beside_both(self):
        little = plan("little", 20, 50, device="emulated:2")
        assert self.go([self.big], self.mid, 1000, self.big, self.mid, little, self.cpu) == ["little", "mid"]

    def test_what_needs_no_gpu_is_reached_from_anywhere(self):
        assert self.go([self.big], self.cpu, 100, self.big, self.cpu) == ["cpu"]

    def test_refused_where_there_is_no_way(self):
        with pytest.raises(PlanRefused, match="there is no smaller plan to go through"):
            self.go([self.big], self.mid, 1000, self.big, self.mid)

    def test_plans_that_are_still_held_count(self):
        held = [self.cpu, self.big]  # requests still run on big
        assert peak(held, self.rungs(self.mid)[0]) == 1100 * MI


class TestDocuments:
    def test_a_gzip_bomb_is_stopped(self, tmp_path, monkeypatch):
        monkeypatch.setattr("chrion_runtime.choice.documents.MOST_BYTES", 1000)
        path = tmp_path / "plan.json"
        path.write_bytes(gzip.compress(bytes(100_000)))
        with pytest.raises(Unreadable, match="it inflates to more than"):
            read_plan_file(path)
        path.write_bytes(bytes(2000))
        with pytest.raises(Unreadable, match="it is larger than"):
            read_plan_file(path)

    def test_an_slo_file(self, tmp_path):
        path = tmp_path / "slo.yaml"
        path.write_text("{latency: 20ms, percentile: 95, load: {concurrency: 4}, gpuMemory: 256Mi, mode: Memory}")
        found = read_objective(path)
        assert (found.latency, found.percentile, found.gpu_memory, found.mode) == ("20ms", 95, "256Mi", Mode.MEMORY)
        assert found.load.concurrency == 4
        assert found.slo == SLO.parse(
            {"latency": "20ms", "percentile": 95, "load": {"concurrency": 4}, "gpuMemory": "256Mi"}
        )
        path.write_text("{}")
        assert read_objective(path) == Objective()

    def test_the_slo_of_a_chrionmodel(self, tmp_path):
        path = tmp_path / "model.yaml"
        path.write_text(
            "{apiVersion: chrion.dev/v1alpha1, kind: ChrionModel, metadata: {name: m}, spec: {"
            "model: {uri: 'file://m.onnx'}, slo: {latency: 20ms}, mode: Latency}}"
        )
        assert read_objective(path) == Objective.parse({"latency": "20ms", "mode": "Latency"})

    @pytest.mark.parametrize("text", ["", "latency: 20 bananas", "speed: 3", "[1]", "{", "kind: Pod"])
    def test_what_is_no_objective_names_the_file(self, tmp_path, text):
        path = tmp_path / "slo.yaml"
        path.write_text(text)
        with pytest.raises(Exception, match=r"slo\.yaml"):
            read_objective(path)
