"""What the serving bench's results say: whether the aims are met, and tables as a Markdown page."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from chrion_bench.aims import Aim
from chrion_bench.serving.contenders import BARE, BARE_UVLOOP, CHRION, KSERVE, MLSERVER
from chrion_bench.tables import NONE, table

Data = Mapping[str, Any]

MLSERVER_AIM, KSERVE_AIM, BARE_AIM = 3.5, 4.0, 0.9
OVER_AIM, HOPS_AIM, ACCEPTED_AIM, REFUSED_AIM = 1e-3, 2.0, 0.99, 0.01
MEMORY_AIM = 32 << 20
"""Bytes by which memory may grow under overload and still be called flat: the requests that wait are in it."""
RISE_AIM, BACK_AIM, ISOLATION_AIM = 0.2, 1.0, 60e-6
IN_ANOTHER_PROCESS = "in another process"


def aims(report: Data) -> list[Aim]:
    """What the server is held to, and what was reached; of the tables that were measured."""
    found: list[Aim] = []
    if report.get("throughput"):
        found += _throughput_aims(report["throughput"])
    if report.get("latency"):
        worst = max(report["latency"], key=lambda item: item["even"]["p99"] - item["own"]["median"])
        over = worst["even"]["p99"] - worst["own"]["median"]
        text = f"half load: p99 at most {OVER_AIM * 1e3:g} ms over the model's own time"
        found.append(Aim(text, f"{over * 1e3:.2f} ms, {worst['model']} {worst['format']}", over <= OVER_AIM))
    for item in report.get("hops") or ():
        if item["way"] == IN_ANOTHER_PROCESS:
            text = f"8 hops beside bodies of 1 MB: p99 at most ×{HOPS_AIM:g} of that alone"
            found.append(Aim(text, f"×{item['ratio']:.2f}", item["ratio"] <= HOPS_AIM))
    if lengths := report.get("lengths"):
        p99, slo = lengths["answered"]["p99"], lengths["sloSeconds"]
        text = f"mixed lengths: no error, and p99 within the SLO of {slo * 1e3:g} ms"
        value = f"{lengths['failed']} errors, p99 {p99 * 1e3:.1f} ms"
        found.append(Aim(text, value, not lengths["failed"] and p99 <= slo))
    if overload := report.get("overload"):
        found += _overload_aims(overload)
    for item in report.get("runaway") or ():
        found += _runaway_aims(item)
    if isolated := report.get("isolation"):
        worst = max(isolated, key=lambda item: float(item["moreSeconds"]))
        more = worst["moreSeconds"]
        text = f"a process of its own: at most {ISOLATION_AIM * 1e6:g} µs more at p50"
        found.append(Aim(text, f"{more * 1e6:.0f} µs, {worst['model']} {worst['load']}", more <= ISOLATION_AIM))
    return found


def _throughput_aims(results: Sequence[Data]) -> list[Aim]:
    return [
        _ratio_aim(results, MLSERVER, "json", MLSERVER_AIM),
        _ratio_aim(results, KSERVE, "binary", KSERVE_AIM),
        *(_ratio_aim(results, name, kind, BARE_AIM) for name in (BARE, BARE_UVLOOP) for kind in ("json", "binary")),
    ]


def _ratio_aim(results: Sequence[Data], over: str, kind: str, least: float) -> Aim:
    ratio = gain(results, "tiny", kind, over)
    text = f"requests/s of a small model, {kind}: at least ×{least:g} of {over}"
    return Aim(text, NONE if ratio is None else f"×{ratio:.2f}", None if ratio is None else ratio >= least)


def gain(results: Sequence[Data], model: str, kind: str, over: str) -> float | None:
    """How many times as many requests a second as another server; None where one of the two is absent."""
    found = {item["server"]: item for item in results if (item["model"], item["format"]) == (model, kind)}
    ours, other = found.get(CHRION, {}), found.get(over, {})
    if "perSecond" not in ours or "perSecond" not in other:
        return None
    # A machine drifts: only what the two did in the same round can be compared.
    rounds = zip(ours["rounds"], other["rounds"], strict=False)
    return float(median(one["perSecond"] / two["perSecond"] for one, two in rounds))


def _overload_aims(item: Data) -> list[Aim]:
    accepted, refused = item["storm"]["within"], item["storm"]["answers"].get("503", {"p99": 0.0, "count": 0})
    grown = item["memoryPeak"] - item["memoryBefore"]
    others = {status for status in item["storm"]["answers"] if status not in ("200", "503")}
    after = item["after"]
    answered = after["answers"].get("200", {"count": 0})["count"]
    back = set(after["answers"]) == {"200"} and after["within"] >= ACCEPTED_AIM
    return [
        Aim(
            f"overload ×3: at least {ACCEPTED_AIM:.0%} of those accepted within the SLO",
            f"{accepted:.1%} of {item['storm']['answers']['200']['count']}",
            accepted >= ACCEPTED_AIM and not others,
        ),
        Aim(
            f"overload ×3: the rest refused within {REFUSED_AIM * 1e3:g} ms, at p99",
            f"{refused['p99'] * 1e3:.1f} ms, {refused['count']} refused",
            refused["p99"] <= REFUSED_AIM,
        ),
        Aim("overload ×3: memory flat", f"{grown / 2**20:+.1f} MiB", grown <= MEMORY_AIM),
        Aim(
            "after a second, all are answered again within the SLO",
            f"{answered} of {after['sent']} answered, {after['within']:.1%} of those within",
            back,
        ),
    ]


def _runaway_aims(item: Data) -> list[Aim]:
    rise, over, back, failed = item["rise"], item["overControl"], item["backSeconds"], item["runaway"]["failed"]
    return [
        Aim(
            # Over the control, which shares the core as well: what that alone costs stands beside it.
            f"beside a runaway, {item['way']}: another model's p99 at most {RISE_AIM:.0%} over that beside the control",
            f"{over:+.0%}, and {rise:+.0%} over quiet" + (f"; {failed} failed" if failed else ""),
            over <= RISE_AIM and not failed,
        ),
        Aim(
            f"after a runaway's deadline, {item['way']}: back within {BACK_AIM:g} s",
            f"{back:.2f} s",
            back <= BACK_AIM,
        ),
    ]


def page(report: Data) -> str:
    """The whole report as Markdown."""
    machine, versions = report["machine"], report["versions"]
    parts = [
        f"# Serving, {machine['cpu']}, {machine['cores']} cores",
        f"Measured on {report['date']} at commit {report['commit']}: "
        + ", ".join(f"{name} {found}" for name, found in versions.items() if found)
        + ". How to read it: [docs/benchmarks.md](../../docs/benchmarks.md#serving).",
        "## Aims\n\n" + table(("aim", "reached", ""), ([one.text, one.value, one.verdict] for one in aims(report))),
    ]
    for key, title, write in (
        ("throughput", "Requests a second", _throughput),
        ("latency", "Half load", _latency),
        ("hops", "Eight hops beside large JSON", _hops),
        ("lengths", "Mixed lengths", _lengths),
        ("overload", "Overload", _overload),
        ("runaway", "Beside a runaway request", _runaway),
        ("isolation", "A process of its own", _isolation),
        ("pipelining", "Several requests at once", _pipelining),
        ("batching", "Batching", _batching),
    ):
        if report.get(key):
            parts.append(f"## {title}\n\n{write(report[key])}")
    return "\n\n".join(parts) + "\n"


def _throughput(results: Sequence[Data]) -> str:
    rows = []
    for item in results:
        if "absent" in item:
            rows.append([item["server"], item["model"], item["format"], NONE, NONE, NONE, item["absent"]])
            continue
        ratio = gain(results, item["model"], item["format"], item["server"])
        rows.append(
            [
                item["server"],
                item["model"],
                item["format"],
                f"{item['perSecond']:,.0f}",
                _ms(item["p99"]),
                f"{item['cpuSeconds'] * 1e6:.0f}",
                NONE if ratio is None or item["server"] == CHRION else f"×{ratio:.2f}",
            ]
        )
    return table(("server", "model", "format", "requests/s", "p99 ms", "µs of CPU each", "Chrion over it"), rows)


def _latency(results: Sequence[Data]) -> str:
    rows = [
        [
            item["model"],
            item["format"],
            _ms(item["own"]["median"]),
            _ms(item["own"]["p99"]),
            f"{item['rate']:,.0f}",
            *_spread(item["even"]),
            *_spread(item["random"]),
            *_spread(item["control"]),
            _ms(median(item["even"]["p99s"])),
            _ms(median(item["control"]["p99s"])),
        ]
        for item in results
    ]
    header = (
        "model",
        "format",
        "own p50 ms",
        "own p99",
        "requests/s",
        "even p50 ms",
        "even p99",
        "random p50",
        "random p99",
    )
    more = ("bare, even p50", "bare, even p99", "even p99, median", "bare, even p99, median")
    return "Each the quietest of several stretches, and the median of all.\n\n" + table((*header, *more), rows)


def _hops(results: Sequence[Data]) -> str:
    rows = [
        [item["way"], *_spread(item["alone"]), *_spread(item["beside"]), f"×{item['ratio']:.2f}"] for item in results
    ]
    return table(("JSON is parsed", "alone p50 ms", "alone p99", "beside p50", "beside p99", "p99 ratio"), rows)


def _lengths(item: Data) -> str:
    rows = [
        [name, f"{item['rate']:,.0f}", str(sent), *_spread(item[key])]
        for name, key, sent in (
            (CHRION, "answered", f"{item['sent'] - item['failed']} of {item['sent']}"),
            (BARE_UVLOOP, "control", item["control"]["count"]),
        )
    ]
    return table(("server", "requests/s", "answered", "p50 ms", "p99 ms"), rows)


def _overload(item: Data) -> str:
    rows = []
    for name in ("calm", "storm", "recovering", "after"):
        answers = item[name]["answers"]
        cells = [
            f"{found[key]}" if key == "count" else _ms(found[key])
            for found in (answers.get("200"), answers.get("503"))
            if found
            for key in ("count", "p50", "p99")
        ]
        rows.append([name, str(item[name]["sent"]), *(cells + [NONE] * 6)[:6]])
    header = ("stretch", "sent", "answered", "p50 ms", "p99 ms", "refused", "p50 ms", "p99 ms")
    own = item["own"]
    return (
        f"Capacity {item['capacity']:,.0f}/s, SLO {item['sloSeconds'] * 1e3:g} ms. Alone on this core "
        f"the model takes {_ms(own['median'])} ms, {_ms(own['p99'])} at p99 and {_ms(own['worst'])} at worst.\n\n"
        + table(header, rows)
    )


def _runaway(results: Sequence[Data]) -> str:
    rows = [
        [
            item["way"],
            f"{item['rate']:,.0f}",
            *(cell for kind in ("quiet", "runaway", "control") for cell in _spread(item[kind])),
            f"{item['rise']:+.0%}",
            f"{item['overControl']:+.0%}",
            f"{item['backSeconds']:.2f}",
        ]
        for item in results
    ]
    header = (
        *("models in", "requests/s", "quiet p50 ms", "quiet p99", "runaway p50", "runaway p99"),
        *("control p50", "control p99", "p99 over quiet", "over control", "back after s"),
    )
    return "Each the quietest of several stretches.\n\n" + table(header, rows)


def _isolation(results: Sequence[Data]) -> str:
    rows = [
        [
            item["model"],
            item["load"],
            *(_ms(median(one["p50"] for one in item[way])) for way in ("shared", "own")),
            f"{item['moreSeconds'] * 1e6:.0f}",
            *(f"{median(one['perSecond'] for one in item[way]):,.0f}" for way in ("shared", "own")),
            f"×{item['ratio']:.2f}",
        ]
        for item in results
    ]
    header = ("model", "load", "p50 ms", "its own process", "µs more", "requests/s", "its own process", "ratio")
    return table(header, rows)


def _pipelining(item: Data) -> str:
    rows = [[clients, f"{item[clients]:,.0f}", f"×{item[clients] / item['1']:.2f}"] for clients in ("1", "2", "4")]
    return table(("clients", "requests/s", "over one"), rows)


def _batching(item: Data) -> str:
    rows = [[name, f"{item[name]['perSecond']:,.0f}", _ms(item[name]["p99"])] for name in ("off", "on")]
    return table(("batching", "requests/s", "p99 ms"), rows)


def _spread(found: Data) -> tuple[str, str]:
    return _ms(found["p50"]), _ms(found["p99"])


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f}"
