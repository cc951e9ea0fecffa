"""What the planning bench's results say: whether the aims are met, and tables as a Markdown page."""

from collections.abc import Iterable, Mapping, Sequence
from math import isclose
from statistics import geometric_mean, mean, median
from typing import Any

from chrion_bench.aims import Aim
from chrion_bench.planning.instances import EACH, MACHINES
from chrion_bench.planning.records import Records
from chrion_bench.planning.scale import LIMITS
from chrion_bench.tables import NONE, table

Data = Mapping[str, Any]
"""One instance's results, as `gaps` gives them."""

ALL = 2 * EACH * len(MACHINES)
PROVED_AIM, PROVED_SECONDS, GAP_AIM = 0.8, 300.0, 1.02
OURS = "ours"
_EQUAL = 1e-9
"""Makespans nearer than this part are equal: the same sum in another order."""


def optimum(item: Data) -> float | None:
    """The makespan that a solver proved the least; None where none did."""
    return min((found["makespan"] for found in item["solvers"].values() if found["optimal"]), default=None)


def over_optimum(item: Data) -> float | None:
    """Local search's makespan over the proved optimum."""
    least = optimum(item)
    return None if least is None else float(item["schedules"]["search"] / least)


def over_bound(item: Data) -> float:
    """Local search's makespan over the best bound that was proved."""
    bounds = [found["bound"] for found in item["solvers"].values()]
    return float(item["schedules"]["search"] / max([item["bound"], *bounds]))


def better(item: Data) -> dict[str, float]:
    """The others whose stages end before ours, with our makespan over theirs."""
    ours = item["stages"][OURS]
    others = {name: ours / makespan for name, makespan in item["stages"].items() if name != OURS}
    return {name: ratio for name, ratio in others.items() if ratio > 1 + _EQUAL}


def aims(records: Records) -> list[Aim]:
    """What the planner is held to, and what was reached of it on what was run."""
    items, seconds = records.results("instances"), records.about["seconds"]
    ratios = [ratio for item in items if (ratio := over_optimum(item)) is not None]
    share = len(ratios) / len(items) if items else 0.0
    above = sum(ratio > GAP_AIM for ratio in ratios)
    worse = sum(bool(better(item)) for item in items)
    return [
        Aim(
            f"the exact solver proves at least {PROVED_AIM:.0%} of the instances within {PROVED_SECONDS:g} s",
            f"{len(ratios)} of {len(items)} within {seconds:g} s",
            # With less time than the aim allows, too few is no miss.
            True if share >= PROVED_AIM else None if not items or seconds < PROVED_SECONDS else False,
        ),
        Aim(
            f"local search within {GAP_AIM - 1:.0%} of every proved optimum",
            f"{above} of {len(ratios)} above, the worst {_above(max(ratios, default=None))}",
            not above if ratios else None,
        ),
        Aim(
            "on no instance worse than HEFT, CPOP, PEFT or the best single device",
            f"{worse} of {len(items)} worse, the worst {_above(_worst(items))}",
            not worse if items else None,
        ),
        *(_scale_aim(records.results("scale"), size) for size in LIMITS),
    ]


def _scale_aim(results: Iterable[Data], size: str) -> Aim:
    items = [item for item in results if item["name"].endswith(f"-{size}")]
    seconds = max((item["seconds"] for item in items), default=0.0)
    peak = max((item["peakBytes"] for item in items), default=0)
    most, nbytes = LIMITS[size]
    met = seconds <= most and (nbytes is None or peak <= nbytes)
    return Aim(
        f"{size} tasks planned in {_limit(size)}",
        f"{seconds:.1f} s and {_mib(peak)} MiB at most, of {len(items)} problems" if items else NONE,
        met if items else None,
    )


def page(records: Records) -> str:
    """The results as Markdown."""
    items = records.results("instances")
    parts = (
        f"# Planning: {records.about['machine']['cpu']}, {records.about['machine']['cores']} cores",
        _about(records, items),
        "## Aims\n\n" + table(("aim", "reached", ""), ([a.text, a.value, a.verdict] for a in aims(records))),
        "## Instances\n\n" + _kinds(items) if items else "",
        "## Against others, by stages\n\n" + _others(items) if items else "",
        _worse(items),
        _far(items),
        _scale(records.results("scale")),
        _rewriting(records.results("rewriting")),
        _failures(records.failures()),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(records: Records, items: Sequence[Data]) -> str:
    about = records.about
    failed = sum(record["table"] == "instances" for record in records.failures())
    jobs = max((item["jobs"] for item in items), default=1)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{len(items)} of the {ALL} named instances were run"
        + (f", {failed} more failed" if failed else "")
        + f"; exact: {', '.join(about['solvers'])}, each limited to {about['seconds']:g} s of the clock for an instance"
        + (f", up to {jobs} instances side by side" if jobs > 1 else "")
        + f". {about['date']}, at commit {about['commit'] or 'unknown'}; {versions}; {about['machine']['system']}. "
        "[docs/benchmarks.md](../../docs/benchmarks.md) says what is compared."
    )


def _kinds(items: Sequence[Data]) -> str:
    groups: dict[tuple[str, str], list[Data]] = {}
    for item in items:
        groups.setdefault((item["kind"], item["machine"]), []).append(item)
    rows = [_kind(kind, machine, group) for (kind, machine), group in sorted(groups.items())]
    header = (
        "kind",
        "lanes",
        "instances",
        "proved",
        "search over optimum, mean",
        "worst",
        "over bound where unproved, worst",
        "worse than another",
        "by, worst",
        "planning s, median",
        "worst",
    )
    return table(header, [*rows, _kind("all", "", items)])


def _kind(kind: str, machine: str, items: Sequence[Data]) -> list[str]:
    ratios = [ratio for item in items if (ratio := over_optimum(item)) is not None]
    unproved = [over_bound(item) for item in items if optimum(item) is None]
    planning = [item["planningSeconds"] for item in items]
    return [
        kind,
        machine,
        str(len(items)),
        str(len(ratios)),
        _above(mean(ratios) if ratios else None),
        _above(max(ratios, default=None)),
        _above(max(unproved, default=None)),
        str(sum(bool(better(item)) for item in items)),
        _above(_worst(items)),
        f"{median(planning):.2f}",
        f"{max(planning):.2f}",
    ]


def _others(items: Sequence[Data]) -> str:
    names = dict.fromkeys(name for item in items for name in item["stages"] if name != OURS)
    rows = []
    for name in names:
        gains = [item["stages"][name] / item["stages"][OURS] for item in items if name in item["stages"]]
        equal = sum(isclose(gain, 1, rel_tol=_EQUAL) for gain in gains)
        worse = sum(gain < 1 - _EQUAL for gain in gains)
        rows.append(
            [
                name,
                str(len(gains)),
                *(str(count) for count in (len(gains) - equal - worse, equal, worse)),
                f"×{geometric_mean(gains):.3f}",
                f"×{min(gains):.3f}",
            ]
        )
    return "Gains are theirs over ours.\n\n" + table(
        ("other", "instances", "ours better", "equal", "ours worse", "gain, geometric mean", "least"), rows
    )


def _worse(items: Sequence[Data]) -> str:
    rows = [[item["name"], name, _above(ratio)] for item in items for name, ratio in better(item).items()]
    return "## Worse than another\n\n" + table(("instance", "other", "ours above it by"), rows) if rows else ""


def _far(items: Sequence[Data]) -> str:
    rows = [
        [item["name"], _above(ratio)] for item in items if (ratio := over_optimum(item)) is not None and ratio > GAP_AIM
    ]
    title = f"## More than {GAP_AIM - 1:.0%} above a proved optimum\n\n"
    return title + table(("instance", "search above it by"), rows) if rows else ""


def _scale(results: Sequence[Data]) -> str:
    rows = [
        [
            item["name"],
            str(item["tasks"]),
            str(item["coarse"]),
            str(item["stages"]),
            f"{item['coarsenSeconds']:.2f}",
            f"{item['seconds']:.2f}",
            _mib(item["problemBytes"]),
            _mib(item["peakBytes"]),
            _above(item["makespan"] / item["bound"]),
            item["winner"],
            _limit(item["name"].rpartition("-")[2]),
        ]
        for item in results
    ]
    header = (
        "problem",
        "tasks",
        "coarse tasks",
        "stages",
        "coarsening s",
        "planning s",
        "MiB before",
        "peak MiB",
        "makespan over bound",
        "winner",
        "limit",
    )
    return "## Large problems\n\n" + table(header, rows) if rows else ""


def _rewriting(results: Sequence[Data]) -> str:
    rows = [
        [
            item["name"],
            str(item["nodes"]),
            ", ".join(way for way in item["ways"] if way) or NONE,
            f"{item['seconds']:.2f}",
            _mib(item["graphBytes"]),
            _mib(item["peakBytes"]),
        ]
        for item in results
    ]
    header = ("graph", "nodes", "rewrites proposed", "s", "MiB before", "peak MiB")
    return "## Rewriting\n\n" + table(header, rows) if rows else ""


def _failures(failures: Sequence[Data]) -> str:
    rows = ([record["table"], record["name"], record["error"]] for record in failures)
    return "## Failed\n\n" + table(("table", "name", "why"), rows) if failures else ""


def _worst(items: Iterable[Data]) -> float | None:
    return max((ratio for item in items for ratio in better(item).values()), default=None)


def _limit(size: str) -> str:
    seconds, nbytes = LIMITS[size]
    return f"{seconds:g} s" + (f" and {_mib(nbytes)} MiB" if nbytes else "")


def _above(ratio: float | None) -> str:
    return NONE if ratio is None else f"{max(ratio - 1, 0.0):.2%}"


def _mib(nbytes: int) -> str:
    return f"{nbytes / 2**20:.0f}"
