"""Records from the command line: built, inspected, trained on, damaged."""

import contextlib
import dataclasses
import re
from pathlib import Path

import pytest
from commands.calls import refused
from typer.testing import CliRunner

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import app
from keras_bert_scratch.data.google.writer import STATIC_RULES, write_google_examples
from keras_bert_scratch.data.records.schema import Manifest


def keras_bert(*argv):
    return CliRunner().invoke(app, [str(word) for word in argv])


def succeeds(*argv) -> str:
    result = keras_bert(*argv)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def vocab(vocabulary) -> Path:
    vocabulary.save("vocab.txt")
    return Path("vocab.txt")


SMALL = ["--preset", "bert-tiny", "--steps", "2", "--length", "32", "--batch", "4"]


def test_documents(corpus, vocab):
    output = succeeds("tfrecords", corpus, "--vocab", vocab, "--out", "records", "--shards", "3")
    assert "records: 64 documents, 384 sentences, " in output
    assert " in 3 shards, " in output
    output = succeeds("inspect", "records")
    for fact in (
        "documents, uncased",
        "bytes per token",
        "non-padding, first rows of 64, packed",
        "lengths of documents in tokens",
        "█",
    ):
        assert fact in output
    assert output.count("B follows A:") + output.count("B is from elsewhere:") == 3
    assert "examples; masked: token→what the network sees" in output
    assert "→[MASK]" in output


@pytest.mark.parametrize(
    "text", ["The otter dives.\n\nIt catches a fish.\n\n" * 20, "The otter dives.\nIt catches a fish.\n" * 20]
)
def test_documents_without_pairs_are_shown(text, vocab):
    """Each document is a single sentence; or there is only one document. `pretrain` refuses both without `--pairs`."""
    Path("text.txt").write_text(text)
    succeeds("tfrecords", "text.txt", "--vocab", vocab, "--out", "records")
    output = succeeds("inspect", "records", "--picture", "picture.png")
    assert "examples, without pairs; masked: token→what the network sees" in output
    assert "→[MASK]" in output
    assert "B follows A" not in output
    assert Path("picture.png").exists()


def test_other_pairs_in_google_s_format_are_shown(records):
    write_google_examples(records, "examples", max_length=32, rules=dataclasses.replace(STATIC_RULES, pairs="order"))
    output = succeeds("inspect", "examples")
    assert output.count("A and B in order: ") + output.count("A and B swapped: ") == 3


def test_a_cased_vocabulary_without_capitals_stays_cased(caplog):
    Path("lower.txt").write_text("été où la pêche était péchée\n" * 4)
    assert "vocab.txt: 28 tokens, cased" in succeeds(
        "vocab", "lower.txt", "--cased", "--size", "28", "--out", "vocab.txt"
    )
    assert "vocab.txt: cased vocabulary" in succeeds("inspect", "vocab.txt")
    succeeds("tfrecords", "lower.txt", "--vocab", "vocab.txt", "--out", "records")
    tokenizer = kbs.PretrainingRecords("records").tokenizer
    assert not tokenizer.lowercase
    assert tokenizer.detokenize(tokenizer.tokenize(["été"])).numpy()[0].decode() == "été"
    Path("vocab.txt").unlink()  # the rules that are left would be read with the next vocabulary
    refused("vocab", "lower.txt", "--out", "vocab.txt", saying="tokenizer_config.json: exists already")
    succeeds("vocab", "lower.txt", "--cased", "--out", "cased.txt")
    assert "cased.txt: contains hardly any capital letters" in caplog.text


def test_records_follow_the_rules_of_a_models_tokenizer(vocabulary):
    kbs.BertTokenizer(vocabulary, True, strip_accents=False).save("model")
    Path("a.txt").write_text("The héron sees.\n\nThe otter sees.")
    for number, vocab in enumerate(("model", "model/vocab.txt")):
        succeeds("tfrecords", "a.txt", "--vocab", vocab, "--out", f"records-{number}")
        assert not kbs.PretrainingRecords(f"records-{number}").tokenizer.rules.strip_accents


def test_the_vocabulary_is_no_text(vocabulary):
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("The heron sees.\n\nThe otter sees.")
    for name, corpus in (("vocab.txt", "texts/*.txt"), ("words.txt", "texts"), ("words.txt", "texts/*.txt")):
        vocabulary.save(f"texts/{name}")
        saying = rf"{re.escape(corpus)}: contains texts/{name}, which would be read as text"
        refused("tfrecords", corpus, "--vocab", f"texts/{name}", "--out", "records", saying=saying)


def test_what_is_wrong_with_the_text_is_printed(vocab):
    Path("a.txt").write_bytes(b"The heron\xff sees.\n\nThe otter sees.")
    output = succeeds("tfrecords", "a.txt", "--vocab", vocab, "--out", "records", "--bad-bytes", "replace")
    assert "records: 1 replaced bytes in the text" in output


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_google_s_format(corpus, vocab):
    options = ["--format", "google", "--length", "32", "--dupe-factor", "2", "--shards", "2"]
    output = succeeds("tfrecords", corpus, "--vocab", vocab, "--out", "examples", *options)
    manifest = Manifest.load("examples")
    assert f"examples: {manifest.total('examples'):,} examples in 2 shards" in output
    assert [path.name for path in Path().iterdir() if path.name.startswith(".")] == []
    output = succeeds("inspect", "examples")
    assert "Google's examples, uncased" in output
    assert "masked:" in output
    assert "finished: run" in succeeds("pretrain", "examples", *SMALL, "--out", "run")
    (Path("examples") / "manifest.json").unlink()  # as records that another program wrote
    (Path("examples") / "vocab.txt").unlink()
    ended = keras_bert("pretrain", "examples", *SMALL, "--out", "foreign")
    assert ended.exit_code == 2
    assert "set --vocab to the one that the ids were made with" in ended.output
    assert "finished: foreign" in succeeds("pretrain", "examples", *SMALL, "--out", "foreign", "--vocab", vocab)


@pytest.mark.slow
def test_with_beam(corpus, vocab):
    made = ["tfrecords", corpus, "--vocab", vocab, "--shards", "2"]
    succeeds(*made, "--out", "records")
    output = succeeds(*made, "--out", "by_beam", "--beam", "--runner=DirectRunner")
    assert "by_beam: 64 documents" in output
    assert Manifest.load("by_beam") == Manifest.load("records")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--format", "both"], "--format: 'both' is unknown; choose one of documents, google"),
        (["--format", "google", "--beam", ""], "--beam: builds only the format documents"),
        (["--beam", "--runner='Direct"], "cannot be split into options (No closing quotation); fix its quotes"),
        (["--format", "google", "--pairs", "none"], "--pairs: Google's format needs two segments"),
        (["--format", "google", "--dupe-factor", "0"], "--dupe-factor: must be at least 1"),
        (["--documents", "pages"], "--documents: 'pages' is unknown"),
        (["--sentences", "words"], "--sentences: 'words' is unknown"),
        (["--bad-bytes", "drop"], "--bad-bytes: 'drop' is unknown"),
        (["--shards", "0"], "--shards: must be at least 1"),
        (["--format", "google", "--masked-fraction", "2"], "--masked-fraction: must be more than 0"),
    ],
)
def test_unknown_options_are_named(corpus, vocab, options, named):
    result = keras_bert("tfrecords", corpus, "--vocab", vocab, "--out", "records", *options)
    assert result.exit_code == 2
    assert named in result.output
    assert not Path("records").exists()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        pytest.param(["--packing"], kbs.BertPretrainer, id="packing", marks=pytest.mark.slow),
        pytest.param(
            ["--pairs", "order", "--masking", "words", "--static-masks"],
            kbs.BertPretrainer,
            id="order",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--pairs", "none", "--packing", "--masking", "ngrams", "--masked-fraction", "0.3"],
            kbs.BertMaskedLM,
            id="none",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_pretraining_by_other_rules(records, options, kind, monkeypatch, eager_functions):
    monkeypatch.setattr("keras_bert_scratch.training.pretraining_evaluation.EVALUATION_STEPS", 1)
    # No other test trains masked words alone in a graph.
    with contextlib.nullcontext() if kind is kbs.BertMaskedLM else eager_functions():
        output = succeeds("pretrain", records, *SMALL, *options, "--eval", records, "--out", "run")
    assert "of the positions in the first rows of 32 hold tokens" in output
    assert "non padding fraction" in output
    assert "held out after" in output
    assert kind.from_pretrained("run").get_layer("masked_lm") is not None
    metric = "accuracy" if kind is kbs.BertMaskedLM else "masked lm accuracy"
    with eager_functions():
        assert metric in succeeds("evaluate", "run", "--data", records)
    ended = keras_bert("pretrain", records, *SMALL, "--out", "run")
    assert ended.exit_code == 2  # with other rules it is another run, which the folder refuses


@pytest.mark.usefixtures("eagerly")
def test_damaged_records_are_refused_or_skipped(corpus, vocab):
    succeeds("tfrecords", corpus, "--vocab", vocab, "--out", "records", "--shards", "2")
    shard = sorted(Path("records").glob("*.tfrecord"))[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    result = keras_bert("pretrain", "records", *SMALL, "--out", "run")
    assert result.exit_code == 2
    assert "records-00000-of-00002.tfrecord: record 0 is damaged" in result.output
    succeeds("pretrain", "records", *SMALL, "--out", "other", "--on-corrupt", "skip")


@pytest.mark.usefixtures("eagerly")
def test_records_at_an_address(corpus, vocabulary, tmp_path):
    """Arguments of the command line go through `pathlib`, which removes a slash from an address."""
    vocabulary.save("vocab.txt")
    there = f"ram://{tmp_path.name}/records"
    output = succeeds("tfrecords", corpus, "--vocab", "vocab.txt", "--out", there, "--shards", 3)
    assert output.startswith(f"{there}: 64 documents")
    assert "documents, uncased" in succeeds("inspect", there)
    succeeds("pretrain", there, "--preset", "bert-tiny", "--steps", 1, "--batch", 4, "--length", 32, "--out", "run")
