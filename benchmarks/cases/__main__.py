"""Every case that the library must get right or refuse clearly, tried as a user would, one line each.

    python -m benchmarks.cases [WORDS...]

With words: only the cases whose group or name has one of them. `right`: it did what it should. `clear`: it refused, by
one line that names the file, line or argument and the mend. `wrong`: anything else; then the exit code is 1.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # also as `python benchmarks/cases`

NOT_RUN = {
    "a late step of 1 GB of records": "benchmarks/late_steps.py",
    "what a run takes of memory, in a table": "benchmarks/memory.py, benchmarks/saving.py",
    "records and runs at gs:// itself": "ram:// stands for it, as for everything that tf.io.gfile opens",
}


def main(words: list[str]) -> int:
    """Runs the cases, prints, and returns the exit code."""
    from keras_bert_scratch.commands.app import import_tensorflow_quietly

    import_tensorflow_quietly()
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    from benchmarks.cases import groups
    from benchmarks.cases.case import judge

    start = time.perf_counter()
    cases = [case for group in groups.all_groups() for case in group]
    if words:
        cases = [case for case in cases if any(word in f"{case.group} {case.name}" for word in words)]
    counts: Counter[str] = Counter()
    for case in cases:
        began = time.perf_counter()
        verdict = judge(case)
        if os.environ.get("SECONDS"):
            print(f"{time.perf_counter() - began:6.1f}", end=" ")
        counts[verdict.word] += 1
        print(f"{verdict.word:<6} {case.group:<24} {case.name}  [{verdict.came}]", flush=True)
    print()
    for what, where in NOT_RUN.items():
        print(f"not run here: {what}; see {where}")
    seconds = time.perf_counter() - start
    print(f"{len(cases)} cases in {seconds:.0f} s: " + ", ".join(f"{n} {word}" for word, n in sorted(counts.items())))
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
