"""Section 3: a single path in place of a list; values that are not allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, keras_bert
from benchmarks.cases.small import HOW, ROWS, config, corpus, records, tokenizer, vocab
from keras_bert_scratch.data.google.writer import build_google_examples
from keras_bert_scratch.data.records.build_beam import build_records_with_beam

single, values = Group("3 one path is one"), Group("3 values that cannot be")
GROUPS = (single, values)


def written(build: Callable[..., Any], paths: Any) -> list[bytes]:
    """Returns what a build writes."""
    folder = Path(f"built-{len(list(Path.cwd().iterdir()))}")
    build(paths, tokenizer(), folder, num_shards=1)
    return [file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()]


def google(paths: Any, *args: Any, **options: Any) -> Any:
    """Builds Google's examples."""
    return build_google_examples(paths, *args, **options, max_length=32, dupe_factor=1)


READERS: dict[str, Callable[[Any], Any]] = {
    "read_documents": lambda paths: list(kbs.read_documents(paths)),
    "build_records": lambda paths: written(kbs.build_records, paths),
    "build_records_with_beam": lambda paths: written(build_records_with_beam, paths),
    "build_google_examples": lambda paths: written(google, paths),
}
for _name, _read in READERS.items():

    @single.right(f"{_name} of one str or Path reads that file", _read)
    def _(read: Callable[[Any], Any]) -> None:
        expected = read([corpus()])
        assert read(str(corpus())) == expected
        assert read(corpus()) == expected

    @single.clear(f"{_name} of a str that is not there names it whole", "/none.txt: no such file")
    def _(read: Callable[[Any], Any] = _read) -> Any:
        return read("/none.txt")


@single.right("open_records of one file of Google's reads that file")
def _() -> None:
    google([corpus()], tokenizer(), "examples", num_shards=1)
    [file] = Path("examples").glob("*.tfrecord*")
    batch = next(kbs.open_records(str(file), tokenizer()).batches(2, 32).as_numpy_iterator())
    assert batch[0]["token_ids"].shape == (2, 32)


@single.clear("learn_vocabulary of one str", "`texts`", "single str")
def _() -> None:
    kbs.learn_vocabulary("some text", size=50)


def refused(flag: str, verb: str, *argv: Any) -> None:
    """Adds a case of a command whose error must name the flag."""
    argument = f"{flag} {argv[argv.index(flag) + 1]}"

    @values.clear(f"keras-bert {verb} {argument}", flag, "not " if "nan" not in argument else "nan")
    def _() -> str:
        start = {
            "pretrain": ("--preset", "bert-l2-h128", "--out", "run"),
            "finetune": ("--preset", "bert-l2-h128", "--vocab", vocab(), "--out", "run"),
        }
        source = {"pretrain": (records(),), "finetune": ("--train", "t.csv")}.get(verb, ())
        Path("t.csv").write_text("text,label\na,x\nb,y\n")
        try:
            return keras_bert(verb, *source, *start.get(verb, ()), *argv)
        finally:
            assert not Path("run").exists()


refused("--length", "pretrain", "--steps", "1", "--length", "1")
refused("--length", "finetune", "--length", "1")
for _verb, _steps in (("pretrain", ("--steps", "1")), ("finetune", ())):
    for _rate in ("nan", "inf", "0", "-1"):
        refused("--learning-rate", _verb, *_steps, "--learning-rate", _rate)
refused("--epochs", "finetune", "--epochs", "nan")
refused("--warmup", "finetune", "--warmup", "nan")
refused("--batch", "pretrain", "--steps", "1", "--batch", "0")
refused("--accumulate", "finetune", "--accumulate", "0")
refused("--seeds", "finetune", "--seeds", "0")


@values.clear("keras-bert tfrecords --format google --length 1", "--length")
def _() -> str:
    argv = ("--vocab", vocab(), "--out", "records", "--format", "google", "--length", "1")
    return keras_bert("tfrecords", corpus(), *argv)


@values.clear("keras-bert evaluate --length 1 of a pretrained model", "--length")
def _() -> str:
    kbs.BertPretrainer(kbs.BertBackbone(config())).save_pretrained("model", tokenizer())
    return keras_bert("evaluate", "model", "--data", records(), "--length", "1")


@values.clear("kbs.FineTuning(learning_rate=nan)", "`learning_rate`", "nan")
def _() -> Any:
    how = kbs.FineTuning(**{**vars(HOW), "learning_rate": float("nan")})
    return kbs.finetune("classification", config(), ROWS, "run", how=how, tokenizer=tokenizer())


@values.clear("kbs.TrainingOptions(learning_rate=nan)", "`learning_rate`", "nan")
def _() -> Any:
    return kbs.TrainingOptions(steps=1, learning_rate=float("nan"))
