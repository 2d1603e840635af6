"""Search: the nearest texts of a file, with an index or without, by a model or its SavedModel."""

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from commands.calls import keras_bert, refused

import keras_bert_scratch as kbs
from keras_bert_scratch.serving import search as searching
from keras_bert_scratch.tasks.fine_tuned import FineTuned

TEXTS = ["the heron", "an otter", "", "the old river", "an otter", "dawn [and] again", "before dawn"]
QUERIES = ["otter", "dawn"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small, tokenizer) -> Path:
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("search") / "model"
    kbs.BertBackbone(small.replace(initializer_range=0.3)).save_pretrained(path, tokenizer)
    return path


@pytest.fixture(autouse=True)
def file(fresh_folder, eagerly) -> Path:
    Path("texts.txt").write_text("\n".join(TEXTS))
    return Path("texts.txt")


def nearest(folder, top: int, **options) -> list[list[tuple[str, int, int]]]:
    """The expected result, computed from all vectors at once."""
    model = FineTuned.load(folder, task="embed", prediction_options=options)
    distinct = [text for number, text in enumerate(TEXTS) if text and text not in TEXTS[:number]]
    vectors = np.array([row["embedding"] for row in model.predict({"text": [*QUERIES, *distinct]})])
    scores = vectors[:2] @ vectors[2:].T
    order = np.argsort(-scores, axis=1)[:, :top]
    return [[(distinct[i], TEXTS.index(distinct[i]) + 1, TEXTS.count(distinct[i])) for i in row] for row in order]


def found(*arguments, **keywords) -> list[list[tuple[str, int, int]]]:
    return [[(hit.text, hit.line, hit.count) for hit in hits] for hits in kbs.search(*arguments, **keywords)]


@pytest.mark.parametrize("top", [2, 50])
def test_it_gives_the_nearest_texts(folder, top, monkeypatch):
    monkeypatch.setattr(searching, "BLOCK_ROWS", 2)
    assert found(folder, QUERIES, "texts.txt", top=top) == nearest(folder, top)
    assert found(folder, QUERIES[0], "texts.txt", top=top) == nearest(folder, top)[:1]


def test_options_are_the_task_s(folder):
    options = {"pooling": "max", "layers": "0", "normalize": False}
    expected = nearest(folder, 3, pooling="max", layers="0")
    assert found(folder, QUERIES, "texts.txt", top=3, **options) == expected
    assert expected != nearest(folder, 3)


def test_an_index_is_made_once_and_used_again(folder, monkeypatch):
    expected = found(folder, QUERIES, "texts.txt", index="texts.npz")
    assert expected == nearest(folder, 5)
    made = Path("texts.npz").read_bytes()
    embedded, predict = [], FineTuned.predict

    def counted(self, raw):
        embedded.extend(raw["text"])
        return predict(self, raw)

    monkeypatch.setattr(FineTuned, "predict", counted)
    assert found(folder, QUERIES, "texts.txt", index="texts.npz") == expected
    assert found(folder, QUERIES, index="texts.npz") == expected
    assert embedded == 2 * QUERIES
    assert Path("texts.npz").read_bytes() == made


def test_what_predict_writes_is_an_index(folder):
    assert keras_bert("predict", folder, "--data", "texts.txt", "--out", "texts.npz").exit_code == 0
    assert found(folder, QUERIES, "texts.txt", index="texts.npz") == nearest(folder, 5)


def test_an_index_of_something_else_is_refused(folder, small, tokenizer):
    kbs.search(folder, QUERIES, "texts.txt", index="texts.npz")
    kbs.BertBackbone(small).save_pretrained("other", tokenizer)
    for model, options in (("other", {}), (folder, {"pooling": "cls"})):
        with pytest.raises(kbs.UserError, match=r"texts\.npz: was made with another model, or with other options"):
            kbs.search(model, QUERIES, index="texts.npz", **options)
    Path("texts.txt").write_text("\n".join([*TEXTS[:-1], "changed"]))
    with pytest.raises(kbs.UserError, match=r"texts\.npz: was made from other texts than those in `data`"):
        kbs.search(folder, QUERIES, "texts.txt", index="texts.npz")


def test_bad_texts_are_named_before_the_work_begins(folder, monkeypatch):
    Path("texts.txt").write_bytes(b"otter\n" * 3 + b"\xff\n")
    monkeypatch.setattr(searching, "load", None)
    with pytest.raises(kbs.UserError, match=r"texts\.txt: line 4 is not UTF-8"):
        kbs.search(folder, QUERIES, "texts.txt", index="texts.npz")
    assert not Path("texts.npz").exists()


def test_a_saved_model_searches_too(folder):
    kbs.export_saved_model(FineTuned.load(folder), "saved", warm_up=False)
    assert found("saved", QUERIES, "texts.txt", index="texts.npz") == nearest(folder, 5)
    assert found("saved", QUERIES, index="texts.npz") == nearest(folder, 5)
    with pytest.raises(kbs.UserError, match=r"`pooling`: the options of saved were fixed at export; leave it out"):
        kbs.search("saved", QUERIES, "texts.txt", pooling="max")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queries": []}, "`queries`: give texts to search for"),
        ({"queries": ["a", " "]}, "`queries`: give texts to search for"),
        ({"top": 0}, "`top`: must be at least 1, not 0"),
        ({"data": None}, "`data`: give a file to search, or an existing `index`"),
        ({"data": None, "index": "no.npz"}, "`data`: give a file to search, or an existing `index`"),
        ({"index": "a.parquet"}, r"`index`: a\.parquet must end in \.npz"),
        ({"layers": "all"}, "`pooling`, `layers`: search needs one vector per text"),
        ({"pooling": "none"}, "`pooling`, `layers`: search needs one vector per text"),
    ],
    ids=str,
)
def test_what_cannot_be_is_named(folder, arguments, message):
    with pytest.raises(kbs.UserError, match=message):
        kbs.search(**{"model": folder, "queries": QUERIES, "data": "texts.txt", **arguments})


# --- by commands


def test_the_command_shows_a_table_or_writes_lines(folder):
    expected = nearest(folder, 4)
    shown = keras_bert("search", folder, *QUERIES, "--data", "texts.txt", "--top", "4")
    assert shown.exit_code == 0, shown.output
    rows = [[cell.strip() for cell in re.split("[│|]", line)[1:-1]] for line in shown.stdout.splitlines()]
    rows = [row for row in rows if row]
    assert [(row[4], int(row[2]), int(row[3])) for row in rows] == [hit for hits in expected for hit in hits]
    assert [row[0] for row in rows] == ["1", "2", "3", "4"] * 2
    result = keras_bert("search", folder, *QUERIES, "--data", "texts.txt", "--out", "hits.jsonl", "--pooling", "max")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in Path("hits.jsonl").read_text().splitlines()]
    assert [(line["text"], line["line"], line["count"]) for line in lines if line["query"] == "dawn"] == nearest(
        folder, 5, pooling="max"
    )[1]
    refused("search", folder, "a", "--data", "texts.txt", "--out", "hits.jsonl", saying=r"hits\.jsonl: exists already")
    refused("search", folder, "a", "--data", "texts.txt", "--top", "0", saying="--top: must be at least 1")
    refused("search", folder, "a", "--data", "texts.txt", "--layers", "9", saying="--layers: has 9")


def test_a_long_text_is_cut_on_the_screen_alone(folder):
    Path("long.txt").write_text("otter " * 100)
    shown = keras_bert("search", folder, "otter", "--data", "long.txt").stdout
    assert 20 < shown.count("otter") < 40
    assert "…" in shown
    assert kbs.search(folder, ["otter"], "long.txt")[0][0].text == "otter " * 100
