"""One model's way through the steps: prepared, profiled, planned, and measured against what people use instead."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chrion import planning
from chrion_api import HOST, SLO, ChrionError, Frontier, Mode, Plan, Profile
from chrion_bench.gpu.accelerator import Accelerator
from chrion_bench.gpu.aims import LATENCY, MEMORY, REWRITTEN_CPU, REWRITTEN_GPU
from chrion_bench.gpu.sessions import (
    GRAPH,
    PLACED,
    STATS,
    TENSORRT,
    AcceleratorSession,
    budgets,
    collect,
    originals,
    placed,
)
from chrion_bench.modelled import operations
from chrion_bench.race import Effort, figures, race
from chrion_bench.suite import Entry
from chrion_graph.limits import Limits
from chrion_graph.model_worker import isolated
from chrion_planner.candidates import Candidates
from chrion_planner.costs import GraphBucket
from chrion_planner.measuring import Contender, PlanContender, Result
from chrion_planner.partition import Budget
from chrion_planner.planner import find_candidates, make_profile, measured_plans
from chrion_planner.prepare import Prepared
from chrion_planner.settings import PROFILING, PlanningSettings
from chrion_runtime.choice.selection import select

_HASTE_SECONDS = 10.0
"""What profiling gets at least: without figures there is nothing to plan."""

MEMORY_PLANS = 4
"""Smaller plans along the frontier that are raced, spread evenly over it."""
_STATS_SECONDS = 60.0
_LEAST_SECONDS = 30.0
"""What is killed when its time is over gets so long at least: late is better than never."""

QUICK = replace(Budget(), search_work=100_000, stage_work=20_000, tasks=0)
"""Little search and no exact solver: what is planned with while nothing better is there."""


@dataclass(frozen=True)
class Bench:
    """What all models are measured on and with."""

    accelerator: Accelerator
    cpu_lanes: int
    tensorrt: str
    """Why TensorRT is absent; empty where it is there."""
    budgets: tuple[Budget, ...]
    """What planning may spend, from little to much: the most that ends in time counts."""
    effort: Effort
    warn: list[str] = field(default_factory=list)
    """Warnings of the planner, with the model before each."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that are planned for."""
        return (HOST, self.accelerator.device)


@dataclass
class Subject:
    """A model, with what the steps so far made of it."""

    entry: Entry
    model: Path
    bench: Bench
    prepared: Prepared | None = None
    profile: Profile | None = None
    candidates: list[Candidates] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name in the suite."""
        return self.entry.name

    def prepare(self, seconds: float) -> None:
        """Write the model, normalise and rewrite it, and run each form once. Raises ChrionError."""
        self.model.parent.mkdir()
        self.entry.write(self.model)
        limits = Limits(seconds=max(seconds, _LEAST_SECONDS))
        job = planning.PlanningTask(self.model, self.entry.inputs, devices=self.bench.devices, limits=limits)
        self.prepared = job.prepare()

    def measure_profile(self, seconds: float) -> None:
        """Profile it on the CPU and on the accelerator; in haste where the seconds are over. Raises ChrionError."""
        assert self.prepared is not None, "prepare comes first"
        self.profile = make_profile(self.prepared, self._settings(max(seconds, _HASTE_SECONDS) / PROFILING))

    def plan(self, seconds: float) -> None:
        """Find candidates with each budget at once, each in its own process. Raises ChrionError where none ends."""
        assert self.prepared is not None
        assert self.profile is not None
        arguments = (self.prepared, self.profile)

        def find(budget: Budget, seconds: float) -> list[Candidates]:
            what = "planning"
            return isolated(find_candidates, *arguments, budget, memory_bytes=None, seconds=seconds, what=what)

        quick, *careful = self.bench.budgets
        with ThreadPoolExecutor(len(self.bench.budgets)) as pool:
            first = pool.submit(find, quick, max(seconds, _LEAST_SECONDS))
            more = [pool.submit(find, budget, seconds) for budget in careful]
            for found in more:
                with suppress(ChrionError):
                    self.candidates = found.result()
            self.candidates = self.candidates or first.result()

    def measure(self, seconds: float) -> dict[str, Any]:
        """The figures as JSON data: half of the seconds for choosing plans, the rest for the race.

        Raises ChrionError where no plan can be run.
        """
        assert self.prepared is not None
        assert self.profile is not None
        began = time.monotonic()
        settings = self._settings(seconds / 2)
        frontier = measured_plans(self.prepared, self.profile, settings, self.candidates).buckets[0]
        chosen = time.monotonic()
        raced = dict(self._plans(frontier))
        sessions, absent = self._sessions()
        feeds = self.prepared.buckets[0].feeds
        contenders: list[Contender] = [
            *sessions,
            *(
                PlanContender(
                    plan.model_copy(update={"name": name}),
                    self.prepared.folder,
                    self.bench.devices,
                    self.bench.cpu_lanes,
                    feeds,
                )
                for name, plan in raced.items()
            ),
        ]
        left = max(1.0, seconds - (time.monotonic() - began))
        results = race(contenders, replace(self.bench.effort, race_seconds=left))
        return {
            "model": self.name,
            "family": self.entry.family,
            "inputs": {name: list(shape) for name, shape in frontier.inputs.items()},
            "contenders": {**_with_bytes(results), **{name: {"absent": why} for name, why in absent.items()}},
            "plans": {name: self._described(plan) for name, plan in raced.items()},
            "seconds": {"choosing": round(chosen - began, 1), "racing": round(time.monotonic() - chosen, 1)},
        }

    def _settings(self, seconds: float) -> PlanningSettings:
        return PlanningSettings(
            devices=self.bench.devices,
            cpu_lanes=self.bench.cpu_lanes,
            timeout_seconds=seconds,
            loading=self.bench.effort.loading,
            warn=lambda text: self.bench.warn.append(f"{self.name}: {text}"),
        )

    def _plans(self, frontier: Frontier) -> Iterator[tuple[str, Plan]]:
        """What is raced of Chrion's, by the contender's name."""
        fastest = select(frontier, SLO(), Mode.LATENCY).plan
        for name, device in ((REWRITTEN_GPU, self.bench.accelerator.device), (REWRITTEN_CPU, HOST)):
            if plan := best_alone(self.candidates[0].plans, device):
                yield name, plan
        yield LATENCY, fastest
        smaller = [plan for plan in frontier.plans if plan.gpu_bytes.total < fastest.gpu_bytes.total]
        for number, plan in enumerate(spread(smaller, MEMORY_PLANS), 1):
            yield f"{MEMORY}-{number}", plan

    def _sessions(self) -> tuple[list[AcceleratorSession], dict[str, str]]:
        """ONNX Runtime's own ways on the accelerator, and why others are absent."""
        assert self.prepared is not None
        bench = self.bench
        feeds = self.prepared.buckets[0].feeds
        found = originals(bench.accelerator, self.model, feeds, not bench.tensorrt)
        absent = {TENSORRT: bench.tensorrt} if bench.tensorrt else {}
        if not bench.accelerator.is_cuda:
            found = [session for session in found if session.name != GRAPH]
            absent[GRAPH] = f"{bench.accelerator.device} has no CUDA graphs"
        try:
            isolated(collect, found[0], memory_bytes=None, seconds=_STATS_SECONDS, what="counting each node's memory")
            stats = (self.model.parent / STATS).read_text(encoding="utf-8")
            found += placed(found[0], bench.accelerator, budgets(stats))
        except (ChrionError, OSError, ValueError) as error:
            absent[PLACED] = f"ONNX Runtime gave no statistics to place by: {error}"
        return found, absent

    def _described(self, plan: Plan) -> dict[str, Any]:
        assert self.prepared is not None
        graphs = {variant.bucket.graph.digest: variant.bucket for variant in self.prepared.buckets[0].variants}
        return {
            "name": plan.name,
            "stages": len(plan.stages),
            "rewrites": [rewrite.name for rewrite in plan.rewrites],
            "devices": list(plan.devices),
            "gpuWork": accelerated(plan, graphs[plan.graph]),
            "statedBytes": plan.gpu_bytes.total,
            "predicted": plan.predicted_seconds,
        }


def best_alone(plans: Sequence[Plan], device: str) -> Plan | None:
    """The plan that is predicted to be the fastest of those all on one device in one stage, rewritten or not."""
    alone = [plan for plan in plans if len(plan.stages) == 1 and plan.devices == (device,)]
    return min(alone, key=lambda plan: (plan.predicted_seconds, plan.name), default=None)


def spread(plans: Sequence[Plan], most: int) -> list[Plan]:
    """So many of the plans, evenly spread, with the first and the last among them."""
    if len(plans) <= most:
        return list(plans)
    return [plans[round(place * (len(plans) - 1) / (most - 1))] for place in range(most)]


def accelerated(plan: Plan, bucket: GraphBucket) -> float:
    """The part of the floating-point operations that the plan has on other devices than the CPU."""
    work = [operations(bucket.graph, index, bucket.shapes) for index in range(len(bucket.graph.nodes))]
    there = sum(work[node] for stage in plan.stages if stage.device != HOST for node in stage.nodes)
    return there / sum(work) if sum(work) else 0.0


def _with_bytes(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    found = figures(results)
    for result in results:
        if result.used and "absent" not in found[result.name]:
            taken = result.used.bytes
            found[result.name] |= {"gpuBytes": taken.total, "contextBytes": taken.context}
    return found
