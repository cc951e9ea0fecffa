"""Plan files that reports are made of: CPU only, with a GPU, crowded, with nasty names, without times."""

import random

from chrion_api import (
    Baseline,
    DeviceKey,
    Frontier,
    GpuBytes,
    Latency,
    Optimization,
    Plan,
    PlanFile,
    Rewrite,
    Stage,
)

MIB = 2**20
CPU = DeviceKey(product="Some CPU 9000", cores=4, onnxruntime="1.31.1")
GPU = DeviceKey(product="Some GPU 100", cores=132, onnxruntime="1.31.1", driver="570.86")
NASTY = '<script>alert("x")</script> & [red]名前[/red] \x1b[31m\n' + "é" * 200


def stage(nodes: tuple[int, ...], lanes: tuple[str, ...], start: float, finish: float) -> Stage:
    return Stage(
        nodes=nodes,
        lanes=lanes,
        optimization=Optimization.ALL,
        start_seconds=start * 1e-3,
        finish_seconds=finish * 1e-3,
    )


def latency(milliseconds: float) -> Latency:
    p50 = milliseconds * 1e-3
    return Latency(p50=p50, p90=p50 * 1.1, p99=p50 * 1.3, repetitions=250)


def two_lanes() -> PlanFile:
    """CPU only: a stage on both lanes, then one on each; a plan that was never measured."""
    lanes = ("cpu/0", "cpu/1")
    fast = Plan(
        name="heft",
        rewrites=(Rewrite(name="split-directions", parameters={"node": 3}),),
        graph="ab" * 32,
        stages=(
            stage((0, 1, 2), lanes, 0, 0.5),
            stage((3,), ("cpu/0",), 0.5, 1.0),
            stage((4, 5, 9), ("cpu/1",), 0.5, 2.0),
        ),
        predicted_seconds=2e-3,
        measured=latency(2.1),
    )
    wide = Plan(name="cpu-all", graph="cd" * 32, stages=(stage((0,), lanes, 0, 3),), predicted_seconds=3e-3)
    baselines = (
        Baseline(name="onnxruntime-default", measured=latency(4.2)),
        Baseline(name="cpu-1-lane", measured=latency(8.4)),
    )
    bucket = Frontier(inputs={"input": (1, 50, 161)}, plans=(fast, wide), baselines=baselines)
    return PlanFile(model="5c" * 32, devices={"cpu": CPU}, buckets=(bucket,))


def with_gpu() -> PlanFile:
    """A GPU beside the CPU, two buckets, and a planner that ran out of time."""
    lanes = ("cuda:0/0", "cuda:0/1")
    plans = tuple(
        Plan(
            name=f"plan-{weights}",
            graph="ef" * 32,
            stages=(
                stage((0,), ("cpu/0", "cpu/2"), 0, time / 2),
                stage((1, 2), lanes, time / 2, time),
            ),
            predicted_seconds=time * 1e-3,
            measured=latency(time * 1.05),
            gpu_bytes=GpuBytes(weights=weights * MIB, activations=7 * MIB, workspace=5 * MIB, context=300 * MIB),
        )
        for time, weights in ((2.0, 400), (3.0, 120), (5.0, 40))
    )
    base = Baseline(name="cuda-only", measured=latency(2.4), gpu_bytes=GpuBytes(weights=412 * MIB, context=300 * MIB))
    buckets = (Frontier(inputs={"x": (1, 9), "state": ()}, plans=plans, baselines=(base,)), two_lanes().buckets[0])
    return PlanFile(model="9f" * 32, devices={"cpu": CPU, "cuda:0": GPU}, buckets=buckets, truncated=True)


def crowded(stages: int = 1500, lanes: int = 8) -> PlanFile:
    """So many stages that most are narrower than a column or a pixel."""
    dice = random.Random(1)
    free = [0.0] * lanes
    made = []
    for index in range(stages):
        lane = min(range(lanes), key=free.__getitem__)
        finish = free[lane] + dice.expovariate(20)
        made.append(stage((index,), (f"cpu/{lane}",), free[lane], finish))
        free[lane] = finish
    plan = Plan(name="heft", graph="aa" * 32, stages=tuple(made), predicted_seconds=max(free) * 1e-3)
    return PlanFile(model="77" * 32, devices={"cpu": CPU}, buckets=(Frontier(inputs={"x": (1,)}, plans=(plan,)),))


def nasty() -> PlanFile:
    """Names that are markup, escapes, very long; no times, no baselines, a device without a key."""
    plan = Plan(
        name=NASTY,
        graph="<b>&",
        rewrites=(Rewrite(name="<i>", parameters={"a": ["</svg>", '"', "\u202e"]}),),
        stages=(stage((0, 2, 4), (f"{NASTY}/0", f"{NASTY}/1"), 0, 0), stage((1,), ('a<b>"/x',), 0, 1e-3)),
        predicted_seconds=0,
        gpu_bytes=GpuBytes(weights=1),
    )
    key = DeviceKey(product=NASTY, cores=1, onnxruntime="<1>", driver=NASTY)
    bucket = Frontier(inputs={NASTY: (1,)}, plans=(plan,), baselines=(Baseline(name=NASTY, measured=latency(1)),))
    return PlanFile(model="00" * 32, devices={NASTY: key}, buckets=(bucket,))


def untimed() -> PlanFile:
    plan = Plan(name="one", graph="", stages=(stage((), ("cpu",), 0, 0),), predicted_seconds=0)
    return PlanFile(model="00" * 32, devices={}, buckets=(Frontier(inputs={}, plans=(plan,)),))


SAMPLES = [two_lanes, with_gpu, crowded, nasty, untimed]
