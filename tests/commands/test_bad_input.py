"""Bad input causes one line that names it, and nothing is lost."""

import contextlib
import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands.calls import KERAS_BERT, keras_bert, refused

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import main


def test_a_corpus_that_is_missing_empty_or_not_text(tmp_path):
    Path("empty.txt").write_text("")
    Path("latin.txt").write_bytes(b"caf\xe9")
    for verb in (["vocab", "--out", "v.txt"], ["tfrecords", "--vocab", "vocab.txt", "--out", "records"]):
        kbs.Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a")).save("vocab.txt")
        refused(verb[0], "missing.txt", *verb[1:], saying=r"missing\.txt: no such file or folder; check")
        refused(verb[0], "empty.txt", *verb[1:], saying=r"empty\.txt: contains no text; give")
        refused(verb[0], "latin.txt", *verb[1:], saying=r"latin\.txt: line 1 is not UTF-8 .*iconv")
    assert {entry.name for entry in tmp_path.iterdir()} == {"empty.txt", "latin.txt", "vocab.txt"}


def test_a_vocabulary_without_mask(corpus):
    Path("vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n")
    refused("tfrecords", corpus, "--vocab", "vocab.txt", "--out", "r", saying=r"vocab\.txt: lacks \[MASK\]; add")


def test_records_of_another_vocabulary(records, corpus, documents, config, tokenizer):
    other = kbs.learn_vocabulary((sentence for document in documents for sentence in document), size=120)
    kbs.build_records([corpus], kbs.BertTokenizer(other), "others")
    common = ["--preset", "bert-tiny", "--steps", "1", "--length", "32", "--out", "run"]
    refused("pretrain", records, "--eval", "others", *common, saying="others: .* another vocabulary .*sha256")
    kbs.BertPretrainer(kbs.BertBackbone(config)).save_pretrained("pretrained", tokenizer)
    refused("evaluate", "pretrained", "--data", "others", saying="others: .* another vocabulary")
    assert not Path("run").exists()


def test_rows_longer_than_the_position_table(records):
    argv = ["--preset", "bert-tiny", "--steps", "1", "--length", "513", "--out", "run"]
    refused("pretrain", records, *argv, saying=r"(--length|`max_length`): 513 .* 512 positions .*; use at most")


def test_labels_outside_the_range(model):
    Path("dev.csv").write_text("text,label\na,yes\nb,no\nc,perhaps\n")
    refused(
        "evaluate",
        model,
        "--data",
        "dev.csv",
        saying=r"dev\.csv: line 4 has the label 'perhaps'.*not one of 'no', 'yes'; ",
    )


def test_folders_in_use(records, corpus, model):
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("years of work")
    out = ["--out", "thesis"]
    refused("tfrecords", corpus, "--vocab", records / "vocab.txt", *out, saying="thesis: exists already; delete it or")
    refused("pretrain", records, "--preset", "bert-tiny", "--steps", "1", *out, saying="thesis: exists already")
    refused("export", model, *out, saying="thesis: exists already")
    refused("demo", *out, saying="thesis: exists already")
    refused("vocab", corpus, "--out", "thesis/chapter.txt", saying=r"chapter\.txt: exists already")
    assert Path("thesis/chapter.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("argv", "saying"),
    [
        (
            ["pretrain", "nothing", "--preset", "bert-tiny", "--steps", "1", "--out", "r"],
            "nothing: contains no records; give a folder",
        ),
        (["pretrain", "{records}", "--preset", "bert-hug", "--steps", "1", "--out", "r"], "'bert-hug' is unknown"),
        (["pretrain", "{records}", "--preset", "bert-tiny", "--out", "r"], "--steps, --budget: give exactly one"),
        (
            ["pretrain", "{records}", "--preset", "bert-tiny", "--steps", "1", "--optimizer", "sgd", "--out", "r"],
            "--optimizer: 'sgd' is unknown; choose one of adamw, lamb",
        ),
        (
            ["pretrain", "{records}", "--preset", "bert-tiny", "--budget", "soon", "--out", "r"],
            "error: --budget: 'soon' is not a duration",
        ),
        (["finetune", "--train", "t.csv", "--out", "r"], "--init: give it alone, or --preset with --vocab"),
        (["finetune", "--train", "t.csv", "--init", "nothing", "--out", "r"], "nothing: no such folder; check"),
        (["finetune", "--train", "t.csv", "--init", "a", "--task", "poetry", "--out", "r"], "'poetry' is unknown"),
        (["predict", "nothing", "text"], "nothing: no such folder; check the path"),
        (["export", "nothing", "--out", "m"], "nothing: no such folder; check the path"),
        (
            ["vocab", "nothing", "--size", "3", "--out", "v.txt"],
            "--size: must be more than the 5 special tokens, not 3",
        ),
        (["demo", "--minutes", "nan"], "--minutes: must be more than 0, not nan"),
        (["demo", "--minutes", "inf"], "--minutes: must be more than 0, not inf"),
        (["demo", "--minutes", "0"], "--minutes: must be more than 0, not 0.0"),
        (["launch", "--", "export", "run"], "COMMAND: 'export' does not train on several workers; give one of pretr"),
        (["inspect", "nothing"], "nothing: no such file or folder"),
        (["convert", "nothing", "out", "--to", "huggingface"], "nothing: no such folder; check the path"),
        (["convert", "{records}/vocab.txt", "out", "--to", "huggingface"], "txt: is not a folder; give the folder"),
        (["convert", "{records}", "out", "--to", "huggingface"], "holds no model"),
        (["inspect", "."], "holds no model"),
        (["demo", "--minutes", "0"], "--minutes: must be more than 0"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else "",
)
def test_mistyped_commands(records, argv, saying):
    refused(*(word.replace("{records}", str(records)) for word in argv), saying=saying)


PRETRAIN = ["pretrain", "{records}", "--steps", "1", "--length", "16", "--batch", "2", "--out", "out"]
ON_RECORDS = ["evaluate", "run", "--data", "{records}"]
ONLY_TABLE = "cannot be given with records, only with a table"


@pytest.mark.parametrize(
    ("argv", "saying"),
    [
        ([*ON_RECORDS, "--text-column", "a", "--pair-column", "b"], f"--text-column, --pair-column: {ONLY_TABLE}"),
        ([*ON_RECORDS, "--label-column", "c", "--on-bad-row", "fail"], f"--label-column, --on-bad-row: {ONLY_TABLE}"),
        ([*ON_RECORDS, "--top-k", "3", "--pooling", "max"], f"--top-k, --pooling: {ONLY_TABLE}"),
        ([*ON_RECORDS, "--task", "embed", "--pooling", "max"], f"--task, --pooling: {ONLY_TABLE}"),
        (["predict", "m", "a", "--text-column", "t"], "--text-column: cannot be given with TEXT, only with a table"),
        (["predict", "m", "a", "--on-bad-row", "skip"], "--on-bad-row: cannot be given with TEXT, only with a table"),
        (["predict", "m", "--data", "t.csv", "--pair", "a"], "--pair: is only for TEXT; a table has its own column"),
        (["pretrain", "r", "--init", "m", "--dropout", "0.2", "--out", "o"], "--dropout: has no effect with --init"),
        (["pretrain", "r", "--second-batch", "8", "--out", "o"], "--second-batch: has no effect without"),
        (["pretrain", "r", "--second-fraction", "0.1", "--out", "o"], "--second-fraction: has no effect without"),
        ([*PRETRAIN, "--second-length", "0", "--second-batch", "2"], "--length: must be at least 8"),
        ([*PRETRAIN, "--preset", "bert-tiny", "--eval-every", "5"], "--eval-every: needs --eval, records"),
        (
            ["finetune", "--train", "t.csv", "--init", "m", "--initializer-range", "0.1", "--out", "o"],
            "--initializer-range: has no effect with --init; leave it out",
        ),
        (
            ["finetune", "--train", "t.csv", "--init", "m", "--batch", "8", "--batch-tokens", "4096", "--out", "o"],
            "--batch: has no effect with --batch-tokens; leave it out",
        ),
        (
            ["finetune", "--train", "t.csv", "--init", "m", "--epochs", "2", "--budget", "1m", "--out", "o"],
            "--epochs: has no effect with --budget; leave it out",
        ),
        (
            ["distill", "--teacher", "m", "--text", "t", "--preset", "bert-tiny", "--out", "o", "--hidden-weight", "2"],
            "--hidden-weight: has no effect without --hidden; leave it out",
        ),
        (
            ["search", "m", "a", "--index", "i.npz", "--on-bad-row", "skip"],
            "--on-bad-row: has no effect without --data",
        ),
        (
            ["pretrain", "r", "--out", "o", "--strategy", "none", "--workers", "a:1,b:1", "--index", "1"],
            "--workers: have no effect with --strategy none; leave them out, or use --strategy multiworker",
        ),
        (["pretrain", "r", "--out", "o", "--index", "1"], "--index: has no effect without --workers; leave it out"),
        (
            ["tfrecords", "a.txt", "--vocab", "v", "--out", "o", "--length", "64", "--masking", "words"],
            "--length, --masking: only for --format google; leave out",
        ),
        (
            ["tfrecords", "a.txt", "--vocab", "v", "--out", "o", "--beam", "", "--workers", "2"],
            "--workers: has no effect with --beam; leave it out",
        ),
    ],
    ids=lambda value: " ".join(word for word in value if word.startswith("-")) if isinstance(value, list) else "",
)
def test_flags_without_effect_are_refused(records, argv, saying):
    refused(*(word.replace("{records}", str(records)) for word in argv), saying=f"error: {saying}")


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_optimizer_and_layer_decay_belong_to_the_run(records):
    small = ["--preset", "bert-tiny", "--batch", "2", "--length", "16"]
    argv = ["pretrain", records, *small, "--steps", "2", "--out", "run"]
    result = keras_bert(*argv, "--optimizer", "lamb")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("run/run.json").read_text())["settings"]["training"]["optimizer"] == "lamb"
    refused(*argv, saying=r"run: already holds a run with training\.optimizer lamb, not adamw")

    Path("train.csv").write_text("text,label\na,yes\nb,no\n")
    argv = ["finetune", "--train", "train.csv", "--vocab", records / "vocab.txt", *small, "--out", "tuned"]
    result = keras_bert(*argv, "--layer-decay", "0.9")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("tuned/run.json").read_text())["settings"]["training"]["layer_decay"] == 0.9
    refused(*argv, saying=r"tuned: already holds a run with training\.layer_decay 0\.9, not 1\.0")


def test_the_librarys_arguments_are_named_as_flags(corpus, vocabulary, monkeypatch):
    def fails(*args, **kwargs):
        raise kbs.UserError("`num_shards`: must be less; or give `bad_bytes='replace'`")

    monkeypatch.setattr("keras_bert_scratch.data.records.build.build_records", fails)
    vocabulary.save("vocab.txt")
    argv = ["tfrecords", corpus, "--vocab", "vocab.txt", "--out", "records"]
    refused(*argv, saying="error: --shards: must be less; or give --bad-bytes replace")


FINETUNE = ("finetune", "--train", "t.csv", "--init", "a", "--out", "r")
MISTYPED = [
    # the arguments, and the one error line that they cause
    (["pretrian", "records"], r"No such command 'pretrian'. Did you mean 'pretrain'\? \('.* --help' lists all\)"),
    (["vocab", "text.txt", "--sise", "5", "--out", "v.txt"], r"No such option: --sise \(.*--size.*vocab --help' lists"),
    (["vocab", "text.txt", "--size", "ten", "--out", "v.txt"], "Invalid value for '--size': .*integer"),
    (["vocab", "text.txt", "--size", "10"], "Missing option '--out' "),
    (["vocab", "--size", "10", "--out", "v.txt"], "Missing argument"),
    (["evaluate", "run", "more", "--data", "d.csv"], r"unexpected extra argument\(s\) \(more\)"),
    (["launch", "-n", "0", "--", "pretrain"], "'-n'"),
    (["tfrecords", "text.txt", "--vocab", "v.txt", "--out", "r", "--seed", "-1"], "'--seed'"),
    (["tfrecords", "text.txt", "--vocab", "v.txt", "--out", "r", "--seed", str(2**32)], "'--seed'"),
    (["launch", "--restarts", "-1", "--", "pretrain"], "'--restarts'"),
    # Options of a task.
    ([*FINETUNE, "--treshold", "0.4"], "No such option: --treshold"),
    ([*FINETUNE, "--task", "multi-label", "--threshold", "2"], "--threshold: must be a probability"),
    ([*FINETUNE, "--save-every", "5"], "--save-every: '5' is not a duration; write it like 90s"),
]


@pytest.fixture(scope="module")
def backbone(small, tokenizer, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("backbone") / "a"
    kbs.BertBackbone(small).save_pretrained(path, tokenizer)
    return path


@pytest.mark.parametrize(("argv", "line"), MISTYPED)
def test_mistyped_words_are_one_line(argv, line, backbone):
    shutil.copytree(backbone, "a")
    Path("t.csv").write_text("text,labels\na,x\nb,y\n")
    result = keras_bert(*argv)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
    assert re.match(rf"error: .*{line}", result.stderr), result.stderr


def test_the_default_task_has_its_options(backbone):
    Path("t.csv").write_text("text,label\na,x\nb,y\n")
    shutil.copytree(backbone, "a")
    refused(*FINETUNE, "--class-weights", "balancd", saying="^error: --class-weights: ")


@pytest.mark.slow
def test_a_level_for_tensorflow_makes_nothing_noisier(vocabulary):
    vocabulary.save("vocab.txt")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    ended = subprocess.run([*KERAS_BERT, "inspect", "vocab.txt"], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0
    assert ended.stderr == ""


@pytest.mark.usefixtures("eagerly")
def test_texts_that_the_screen_cannot_show_are_answered(model, monkeypatch):
    """The encoding of the screen lacks the characters, at which Python would raise an error; JSON stays JSON."""
    Path("texts.jsonl").write_text(json.dumps({"text": "日本 \U0001f600"}) + "\n")
    for argv in (["predict", "model", "日本 \U0001f600"], ["predict", "model", "--data", "texts.jsonl"]):
        screen = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
        monkeypatch.setattr(sys, "stdout", screen)
        monkeypatch.setattr(sys, "argv", ["keras-bert", *argv])
        with pytest.raises(SystemExit) as ended:
            main()
        screen.flush()
        shown = screen.buffer.getvalue().decode("latin-1")
        assert ended.value.code == 0, shown
        if "--data" in argv:
            assert json.loads(shown)["text"] == "日本 \U0001f600"
        else:
            assert shown.endswith("\\u65e5\\u672c \\U0001f600\n")


@pytest.fixture
def read_only_disk(small_disk):
    """A file system that is mounted read-only."""
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    return small_disk


@pytest.mark.usefixtures("eagerly")
def test_a_read_only_file_system(read_only_disk, records, corpus, model):
    out = read_only_disk / "out"
    Path("train.csv").write_text("text,label\na,yes\nb,no\n")
    small = ["--preset", "bert-tiny", "--batch", "2", "--length", "16"]
    for argv in (
        ["vocab", corpus, "--size", "150", "--out", out],
        ["tfrecords", corpus, "--vocab", records / "vocab.txt", "--out", out],
        ["pretrain", records, *small, "--steps", "1", "--out", out],
        ["finetune", "--train", "train.csv", "--vocab", records / "vocab.txt", *small, "--out", out],
        ["export", model, "--out", out],
        ["convert", model, out, "--to", "huggingface"],
        ["demo", "--minutes", "1", "--out", out],
    ):
        refused(*argv, saying=rf"{out}.*: is on a read-only file system; choose another place")


def test_errors_of_files_that_are_read_are_one_line_too(monkeypatch, vocabulary):
    def fails(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", "vocab.txt")

    vocabulary.save("vocab.txt")
    monkeypatch.setattr(kbs.Vocabulary, "load", fails)
    refused("inspect", "vocab.txt", saying=r"vocab\.txt: permission is denied; change the permissions")


@pytest.mark.usefixtures("eagerly")
def test_a_full_disk(small_disk, records, corpus, model):
    disk = small_disk
    pretrain = ["pretrain", records, "--preset", "bert-tiny", "--steps", "2", "--length", "16", "--out", disk / "run"]
    refused(*pretrain, saying="disk/run.*: the disk is full; free some space")
    assert not (disk / "run/model.weights.h5").exists()
    shutil.rmtree(disk / "run")

    refused("export", model, "--out", disk / "saved", saying="disk/saved: the disk is full")
    assert not list(disk.iterdir())

    (disk / "ballast").write_bytes(bytes(600 * 1024 - 8192))
    tfrecords = ["tfrecords", corpus, "--vocab", records / "vocab.txt", "--out", disk / "records"]
    refused(*tfrecords, saying=r"disk/\.partial-records.*: the disk is full; free some space")
    assert [entry.name for entry in disk.iterdir()] == ["ballast"]

    with contextlib.suppress(OSError), (disk / "ballast").open("ab", buffering=0) as ballast:
        while ballast.write(bytes(512)):
            pass
    refused("vocab", corpus, "--size", "150", "--out", disk / "vocab.txt", saying="disk/vocab.txt: the disk is full")
    assert [entry.name for entry in disk.iterdir()] == ["ballast"]
