"""Measure Chrion's server beside others: `python -m chrion_bench.serving` (or `make bench-serving`)."""

import argparse
import sys
from collections.abc import Sequence

from chrion_bench.serving.contenders import bare, chrion, others
from chrion_bench.serving.models import MODELS, write
from chrion_bench.serving.process import Program
from chrion_bench.serving.throughput import throughput
from chrion_bench.workplace import workplace


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a line a result."""
    parser = argparse.ArgumentParser(prog="python -m chrion_bench.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", action="append", default=[])
    options = parser.parse_args(arguments)
    found: list[Program] = [chrion(), bare(), bare("uvloop")]
    for other in others():
        if isinstance(other, Program):
            found.append(other)
        else:
            print(f"{other[0]} is absent: {other[1]}")
    if options.only:
        found = [program for program in found if program.name in options.only]
    with workplace() as folder:
        for model in MODELS.values():
            write(model, folder)
        throughput(found, folder, options.rounds, options.seconds, lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
