"""Other work that runs on the lanes while a profile is measured, by real processes."""

import os
import subprocess
import sys

from chrion_planner.profiling.interference import Interference


def test_other_work_on_the_lanes_is_noticed():
    lanes = len(os.sched_getaffinity(0))
    watch = Interference(lanes)
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * lanes)]
    try:
        assert "of the lanes' time" in watch.verdict()
    finally:
        for other in others:
            other.kill()
            other.wait()
