"""Every case that the library must get right or refuse clearly, run as a user would run it, one line each.

    python -m benchmarks.cases [WORDS...]

With words: only the cases whose group or name contains one of them. `right`: the library did what it should. `clear`:
it refused, with one line that names the file, line or argument and the remedy. `wrong`: anything else; then the exit
code is 1.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # also as `python benchmarks/cases`

JOBS = 2  # processes; each creates what its cases share
NOT_RUN = {
    "a late step of 1 GB of records": "benchmarks/late_steps.py",
    "what a run takes of memory, in a table": "benchmarks/memory.py, benchmarks/saving.py",
    "records and runs at gs:// itself": "ram://, another address that tf.io.gfile opens, stands for it",
}


def main(words: list[str]) -> int:
    """Runs the cases, prints their verdicts, and returns the exit code."""
    from benchmarks.cases.groups import MODULES, judged

    start = time.perf_counter()
    counts: Counter[str] = Counter()
    with ProcessPoolExecutor(JOBS, multiprocessing.get_context("spawn")) as pool:
        for verdicts in pool.map(judged, MODULES, [words] * len(MODULES)):
            for group, name, verdict in verdicts:
                counts[verdict.word] += 1
                print(f"{verdict.word:<5}  {group:<24}  {name}  [{verdict.came}]", flush=True)
    print()
    for what, where in NOT_RUN.items():
        print(f"not run here: {what}; see {where}")
    found = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    print(f"{counts.total()} cases in {time.perf_counter() - start:.0f} s: {found}")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
