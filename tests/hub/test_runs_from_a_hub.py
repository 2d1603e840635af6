"""Runs that start from a hub: the commit is recorded, and stays the same when the runs are resumed."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

import keras_bert_scratch as kbs
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.hub import snapshot
from keras_bert_scratch.training.options import TrainingOptions
from keras_bert_scratch.training.run_directory import read_run

TINY = "hf://google/tiny"
ROWS = {"text": ["a cat", "a dog"], "label": ["yes", "no"]}
HOW = kbs.FineTuning(epochs=1, batch_size=2, max_length=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small, tokenizer):
    place = tmp_path_factory.mktemp("model")
    kbs.BertPretrainer(kbs.BertBackbone(small)).save_pretrained(place, tokenizer)
    return place


def finetuned(init=TINY, **others):
    snapshot._snapshot_of.cache_clear()  # as in a new process
    return kbs.finetune("classification", init, ROWS, "run", how=HOW, **others)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_run_is_continued_from_the_commit_that_it_began_with(hub, folder, monkeypatch):
    first = hub.put("google/tiny", folder)
    finetuned()
    settings = read_run("run")["settings"]
    assert (settings["start"], settings["start_commit"]) == (TINY, first)

    second = hub.put("google/tiny", folder, vocab__txt=b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncat\n")
    content = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(json.dumps({**content, "status": "running"}))  # as if it had been killed
    before = len(hub.requests)
    assert finetuned().finished
    assert read_run("run")["settings"] == settings
    assert not any(second in path for _, path, _ in hub.requests[before:])

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    Path("run/run.json").write_text(json.dumps({**content, "status": "running"}))
    before = len(hub.requests)
    assert finetuned().finished
    assert len(hub.requests) == before


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_several_seeds_start_from_one_commit_and_another_revision_is_another_run(hub, folder):
    first = hub.put("google/tiny", folder, revision="v1")
    hub.put("google/tiny", folder, README__md=b"# Newer", revision="v2")
    finetuned(f"{TINY}@v1", seeds=2)
    assert {read_run(run)["settings"]["start_commit"] for run in ("run", "run/seed-0", "run/seed-1")} == {first}
    with pytest.raises(UserError, match=r"run: already holds a run with start hf://google/tiny@v1, not .*@v2"):
        finetuned(f"{TINY}@v2", seeds=2)


@pytest.mark.usefixtures("eagerly")
def test_pretraining_goes_on_from_a_hub(hub, folder, records):
    first = hub.put("google/tiny", folder)
    arguments = (kbs.PretrainingRecords(records), TINY, "further", TrainingOptions(steps=1), 2, 16)
    kbs.pretrain(*arguments)
    hub.put("google/tiny", folder, README__md=b"# Newer")
    snapshot._snapshot_of.cache_clear()
    kbs.pretrain(*arguments)
    assert read_run("further")["settings"]["start_commit"] == first
