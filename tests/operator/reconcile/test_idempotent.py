"""Whatever happens in whatever order, decisions come to an end, and what is then there is whole."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support.objects import node, plan_file
from tests.support.world import World

URIS = st.sampled_from([f"https://models.example/{name}.onnx" for name in "abc"])
LATENCIES = st.sampled_from(["5ms", "20ms", "not a duration"])
WORDS = st.sampled_from(
    [
        {"reason": "ModelNotFound", "message": "404", "permanent": True},
        {"reason": "PlannerFailed", "message": "the node was lost", "permanent": False},
        {"reason": "SomethingNew", "message": "unheard of"},
        "no JSON at all",
        "",
    ]
)


def machine(name: str, arch: str) -> dict[str, object]:
    made = node(name)
    made["metadata"]["labels"]["kubernetes.io/arch"] = arch
    return made


class Life(RuleBasedStateMachine):
    """One ChrionModel, and all that can happen to it."""

    @initialize(uri=URIS)
    def begin(self, uri: str) -> None:
        self.world = World(model={"uri": uri})
        self.world.others["mine"] = {"metadata": {"name": "mine"}, "data": {"plan.json": plan_file("e" * 64).to_json()}}

    @rule(uri=URIS)
    def another_model(self, uri: str) -> None:
        self._edit(model={"uri": uri})

    @rule(latency=LATENCIES)
    def another_objective(self, latency: str) -> None:
        self._edit(slo={"latency": latency})

    @rule(replicas=st.integers(0, 3))
    def other_replicas(self, replicas: int) -> None:
        self._edit(runtime={"replicas": replicas})

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self._edit(paused=paused)

    @rule(name=st.sampled_from(["mine", "missing", None]))
    def committed_plan(self, name: str | None) -> None:
        self._edit(planRef={"name": name} if name else None)

    @rule(good=st.booleans())
    def the_planner_ends(self, good: bool) -> None:
        self.world.write_plan(plan_file().to_json() if good else "nonsense")
        self.world.end_job("Complete")

    @rule(code=st.sampled_from([1, 42, 137]), container=st.sampled_from(["fetch", "plan"]), words=WORDS)
    def the_planner_fails(self, code: int, container: str, words: object) -> None:
        if len(self.world.all("Job")) == 1:
            self.world.planner_fails(code, container, message=words)

    @rule(reason=st.sampled_from(["BackoffLimitExceeded", "DeadlineExceeded"]))
    def the_job_fails(self, reason: str) -> None:
        self.world.end_job("Failed", reason)

    @rule()
    def the_kubelet_serves(self) -> None:
        self.world.serve()

    @rule(data=st.data())
    def somebody_deletes(self, data: st.DataObject) -> None:
        if self.world.objects:
            self.world.remove(*data.draw(st.sampled_from(sorted(self.world.objects))))

    @rule(replicas=st.integers(0, 9))
    def somebody_scales(self, replicas: int) -> None:
        for deployment in self.world.all("Deployment"):
            deployment["spec"]["replicas"] = replicas

    @rule()
    def somebody_spoils_frontiers(self) -> None:
        for frontier in self.world.all("ConfigMap", "frontier"):
            frontier["data"] = {"plan.json": "{}"}

    @rule(archs=st.lists(st.sampled_from(["amd64", "arm64"]), max_size=3))
    def other_nodes(self, archs: list[str]) -> None:
        self.world.nodes = tuple(machine(f"node-{number}", arch) for number, arch in enumerate(archs))

    @rule(seconds=st.integers(1, 10_000))
    def time_passes(self, seconds: int) -> None:
        self.world.wait(seconds)

    def _edit(self, **spec: object) -> None:
        given = {**self.world.owner["spec"], **spec}
        self.world.owner["spec"] = {name: value for name, value in given.items() if value is not None}
        self.world.owner["metadata"]["generation"] += 1

    @invariant()
    def it_settles(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.settle()
        again = self.world.decide()
        assert not again.writes
        assert again.status is None
        status = self.world.owner["status"]
        assert status["observedGeneration"] == self.world.owner["metadata"]["generation"]
        assert len({one["type"] for one in status["conditions"]}) == len(status["conditions"]) == 8
        true = {one["type"] for one in status["conditions"] if one["status"] == "True"}
        assert not {"Reconciling", "Stalled"} <= true

    @invariant()
    def nothing_unchecked_is_served(self) -> None:
        if not hasattr(self, "world") or self.world.owner["spec"].get("paused"):
            return
        if self.world.condition("Planned")[0] != "True":
            return
        for frontier in self.world.all("ConfigMap", "frontier"):
            if frontier["metadata"]["labels"]["chrion.dev/revision"] in self._served():
                assert frontier["data"]["plan.json"] != "nonsense"

    def _served(self) -> set[str]:
        return {
            deployment["spec"]["template"]["metadata"]["labels"]["chrion.dev/revision"]
            for deployment in self.world.all("Deployment")
        }


Life.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLife = Life.TestCase
