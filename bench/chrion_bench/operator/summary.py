"""What the operator bench's results say: whether the aims are met, and tables as a Markdown page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from chrion_bench.aims import Aim
from chrion_bench.tables import table

Data = Mapping[str, Any]

ALL_SECONDS, RSS_BYTES, IDLE_RATE = 120.0, 250 << 20, 1.0
ANSWER_SECONDS, OWN_SECONDS, OBJECTIVE_SECONDS = 25.0, 2.0, 10.0
TENANT_SECONDS = 5.0


def aims(report: Data) -> list[Aim]:
    """What the operator is held to, and what was reached; of what was measured."""
    found: list[Aim] = []
    if answer := report.get("answer"):
        total, own = answer["firstAnswerSeconds"], answer["operatorSeconds"]
        found += [
            Aim(f"apply to first answer: at most {ANSWER_SECONDS:g} s", f"{total:.1f} s", total <= ANSWER_SECONDS),
            Aim(f"of which the operator's: at most {OWN_SECONDS:g} s", f"{own:.2f} s", own <= OWN_SECONDS),
        ]
    if many := report.get("many"):
        seconds, most, rate = many["reconciledSeconds"]["all"], many["operator"]["memoryPeak"], many["idle"]
        found += [
            Aim(
                f"{many['models']} models at once: all reconciled within {ALL_SECONDS:g} s",
                f"{seconds:.1f} s",
                seconds <= ALL_SECONDS,
            ),
            Aim(f"operator's memory: at most {RSS_BYTES >> 20} MiB", f"{most / 2**20:.0f} MiB", most <= RSS_BYTES),
            Aim(
                f"idle: at most {IDLE_RATE:g} request to the API server a second",
                f"{rate['requestsPerSecond']:.2f}",
                rate["requestsPerSecond"] <= IDLE_RATE,
            ),
        ]
    if tenants := report.get("tenants"):
        seconds = _p95(tenants["seconds"])
        text = f"another namespace's single model while {tenants['models']} queue: within {TENANT_SECONDS:g} s at p95"
        found.append(Aim(text, f"{seconds:.1f} s", seconds <= TENANT_SECONDS))
    if objective := report.get("objective"):
        slowest, failed = max(objective["seconds"]), len(objective["failures"])
        found += [
            Aim(
                f"objective edited to plan in use in the pod: at most {OBJECTIVE_SECONDS:g} s",
                f"{slowest:.1f} s",
                slowest <= OBJECTIVE_SECONDS,
            ),
            Aim("requests that fail meanwhile: 0", f"{failed} of {objective['answers'] + failed}", not failed),
        ]
    return found


def page(report: Data) -> str:
    """The whole as Markdown."""
    about = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items() if number)
    parts = [
        f"# The operator, {about['cpu']}, {about['cores']} cores",
        f"Measured on {report['date']} at commit {report['commit'][:12]}, on Kubernetes {report['kubernetes']}: "
        f"{versions}. How to read it: [docs/benchmarks.md](../../docs/benchmarks.md#the-operator).",
        "## Aims",
        table(("aim", "reached", ""), ((aim.text, aim.value, aim.verdict) for aim in aims(report))),
    ]
    if answer := report.get("answer"):
        rows = [(step["what"], step["whose"], f"{step['seconds']:.2f}") for step in answer["steps"]]
        parts += [f"## From apply to the first answer: {answer['model']}", table(("step", "whose", "seconds"), rows)]
    if many := report.get("many"):
        parts += [f"## {many['models']} models at once", _many(many)]
    if tenants := report.get("tenants"):
        seconds = tenants["seconds"]
        text = (
            f"{len(seconds)} single models of another namespace, one after the other, in the "
            f"{tenants['crowdSeconds']:.1f} s until all {tenants['models']} were reconciled. From applied to planned, "
            f"half of them within {seconds[len(seconds) // 2]:.1f} s, 95 % within {_p95(seconds):.1f} s, all within "
            f"{seconds[-1]:.1f} s."
        )
        parts += ["## A neighbour's model meanwhile", text]
    if objective := report.get("objective"):
        seconds = ", ".join(f"{taken:.1f}" for taken in objective["seconds"])
        text = (
            f"{len(objective['seconds'])} edits under {objective['rate']:g} requests a second, in seconds: {seconds}."
        )
        parts += ["## An objective edited while it serves", text]
    return "\n\n".join(parts) + "\n"


def _p95(ascending: Sequence[float]) -> float:
    return ascending[math.ceil(0.95 * len(ascending)) - 1]


def _many(many: Data) -> str:
    operator, idle = many["operator"], many["idle"]
    rows = [
        ("applied", f"{many['appliedSeconds']:.1f} s"),
        ("half of them reconciled", f"{many['reconciledSeconds']['half']:.1f} s"),
        ("all reconciled", f"{many['reconciledSeconds']['all']:.1f} s"),
        ("nothing more to write, their pods waiting for a node", f"{many['settledSeconds']:.1f} s"),
        ("operator's CPU until all were reconciled", f"{operator['cpuSeconds']:.1f} s"),
        ("operator's requests until then", f"{sum(operator['requests'].values()):,.0f}"),
        ("operator's memory before, after, at most", " / ".join(_mib(operator[name]) for name in _MEMORY)),
        (f"idle, over {idle['seconds']:.0f} s: requests a second", f"{idle['requestsPerSecond']:.2f}"),
        ("idle: CPU", f"{idle['cpuSeconds'] / idle['seconds']:.1%} of a core"),
    ]
    return table(("", ""), rows)


_MEMORY = ("memoryBefore", "memoryAfter", "memoryPeak")


def _mib(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"
