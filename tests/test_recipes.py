import re
import runpy
from pathlib import Path

import keras_bert_scratch as kbs
from keras_bert_scratch.data.records import Manifest

RECIPES = Path(__file__).parents[1] / "tfrecords"


def test_speeches_have_the_counts_of_their_docstring():
    recipe = runpy.run_path(str(RECIPES / "speeches.py"))
    recipe["main"](Path("speeches"))
    manifest = Manifest.load("speeches")
    promised = recipe["__doc__"]
    assert f"{manifest.total('documents')} documents in {len(manifest.shards)} shards" in promised
    millions = float(re.search(r"([\d.]+) million tokens", promised)[1])
    assert abs(manifest.total("tokens") / 1e6 - millions) < 0.05
    per_token = float(re.search(r"([\d.]+) bytes each", promised)[1])
    assert abs(manifest.total("bytes") / manifest.total("tokens") - per_token) < 0.02
    inputs, _, _ = next(iter(kbs.PretrainingRecords("speeches").batches(32, 128)))
    assert inputs["token_ids"].shape == (32, 128)
