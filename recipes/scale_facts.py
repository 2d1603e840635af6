"""The numbers from which the tables of docs/scale.md are computed, each with its kind and its source.

measured   on the machine that is named; `quoted` is the text in benchmarks/RESULTS.md
published  by others
assumed    neither: replace it by your own number
"""

from __future__ import annotations

from typing import NamedTuple


class Fact(NamedTuple):
    """A number.

    Args:
        value: float. In SI units.
        text: str. The number and what it describes.
        kind: str. `"measured"`, `"published"` or `"assumed"`.
        where: str. Section of RESULTS and machine, or source.
        quoted: str, default empty. The text of RESULTS that contains it, if it is measured.
    """

    value: float
    text: str
    kind: str
    where: str
    quoted: str = ""


XEON, EPYC, H100 = "2 cores of a Xeon", "2 cores of an EPYC, Zen 3", "one H100, Keras on JAX"

BUILD_RATE = Fact(
    27.0e6,
    "27.0 MB/s of text become records",
    "measured",
    f"Text to records, 1 GB; {XEON}",
    "| documents | 1,000 | 42.4 | 27.0 | 1,290 | 6% more |",
)
START = Fact(
    5.3,
    "5.3 s to start",
    "measured",
    f"Text to records; {XEON}",
    "| keras_bert_scratch, documents | 45.0 | 7.4 | 5.3 |",
)
RECORD_BYTES = Fact(
    2.07, "2.07 bytes of records per token", "measured", f"Text to records; {XEON}", "| 5.3 | 21.7 | 43 | 2.07 |"
)
GOOGLE_BYTES = Fact(
    9.38,
    "9.38 bytes per token and copy, by Google's script",
    "measured",
    f"Text to records; {XEON}",
    "| Google's script (one copy) | 3.0 | 10.0 | 4.0 | 0.50 | 1 | 9.38 |",
)
TEXT_BYTES = Fact(
    22 * 45.0e6 / 234_263_392,
    "22 x 45.0 MB of English books are 234,263,392 tokens: 4.23 bytes per token",
    "measured",
    "Records to batches",
    "the books 22 times over: 234,263,392 tokens of a 30,522-word vocabulary in 16 shards",
)
ROW_RATE = Fact(
    38_531,
    "38,531 rows of 128 per second, by one process",
    "measured",
    f"Records to batches; {XEON}",
    "| keras_bert_scratch, next-sentence pairs | 38,531 | 1.00 | 97.0% |",
)
ROW_RATE_EPYC = Fact(18_034, "18,034 rows of 128 per second", "measured", f"the same; {EPYC}", "ours 18,034,")
ROW_TOKENS = Fact(
    0.97 * 128 - 3, "97.0% of the positions are tokens, three of them special", "measured", "the same", "| 97.0% |"
)
PLAN = Fact(
    (35.12 - 0.98) / 160,
    "35.12 - 0.98 s to plan 16 shards ten times: 0.21 s per plan of 14.6 million tokens",
    "measured",
    f"Records to batches; {EPYC}",
    "| pairs | 0.98 | 35.12 | 1.07 |",
)
STEP = Fact(
    33.1e-3,
    "33.1 ms per step of bert-base on 128 rows of 128",
    "measured",
    f"One GPU; {H100}",
    "| a training step | 128 x 128 | 33.1 |",
)
STATE = Fact(
    1322e6,
    "1,322 MB per training state of bert-base",
    "measured",
    "Memory",
    "| bert-base: a training state | 440 | 1322 | 107 | 289 |",
)

WORDS = Fact(3.3e9, "3,300 million words of text", "published", "Devlin et al. 2019, 3.1")
CORPUS = Fact(16e9, "the same text has 16 GB", "published", "Liu et al. 2019 (RoBERTa), 3.2")
COPIES = Fact(10, "10 copies with other masks", "published", "Google's create_pretraining_data.py, `dupe_factor`")
PEAK = Fact(989e12, "989 TFLOP/s of an H100, bfloat16", "published", "NVIDIA, H100 data sheet (SXM, dense)")
NVLINK = Fact(450e9, "450 GB/s each way between GPUs of a host", "published", "the same: NVLink, 900 GB/s both ways")
TPU_HOST = Fact(4 * 275e12, "4 x 275 TFLOP/s of a TPU v4 host", "published", "Jouppi et al. 2023 (TPU v4)")
INTERRUPTED = Fact(
    16_384 * 54 * 24 / 419,
    "419 unexpected interruptions of 16,384 H100 in 54 days: one per 50,677 hours of a GPU",
    "published",
    "Grattafiori et al. 2024 (Llama 3), 3.3.4",
)

LATENCY = Fact(10e-6, "10 us per message between hosts", "assumed", "")
DISK = Fact(1e9, "1 GB/s to and from the disk or object store with the states", "assumed", "")
REQUEST = Fact(20e-3, "20 ms per request for the size of a file in an object store", "assumed", "")
MANIFEST = Fact(270, "270 bytes of the manifest per shard", "assumed", "")
RESTART = Fact(120, "120 s to restart all workers after a loss; then every host reads the state", "assumed", "")

FACTS = [fact for fact in list(globals().values()) if isinstance(fact, Fact)]
