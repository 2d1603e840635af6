"""What the rows of a study share and what they differ in: text, steps, rules, dropout."""

import dataclasses
import importlib
import types
from pathlib import Path

import pytest

import keras_bert_scratch as kbs


def test_a_corpus_is_that_of_what_was_asked_for(text):
    corpus, scale = importlib.import_module("corpus"), importlib.import_module("scales").scale_of("smoke")
    made = corpus.prepare(Path("out"), scale, text)
    assert corpus.prepare(Path("out"), scale, text).records.fingerprint == made.records.fingerprint
    with pytest.raises(kbs.UserError, match=r"out/corpus: was built with .*; choose another folder"):
        corpus.prepare(Path("out"), scale, Path("other"))
    with pytest.raises(kbs.UserError, match="other: lacks the folders train and held_out"):
        corpus.prepare(Path("new"), scale, Path("other"))
    small = corpus.small_part(made, Path("out"), 10)
    assert sum(1 for _ in kbs.read_documents(["out/corpus/small.txt"])) == 4
    assert small.records.fingerprint != made.records.fingerprint
    assert small.held_out.fingerprint == made.held_out.fingerprint


def test_a_study_with_other_data_is_another_one(task_files, records):
    corpus, downstream = importlib.import_module("corpus"), importlib.import_module("downstream")
    scale = importlib.import_module("scales").scale_of("smoke")
    available = downstream.available_tasks((downstream.SST2, downstream.WNUT), task_files)
    data = corpus.Corpus(Path(), kbs.PretrainingRecords(records), kbs.PretrainingRecords(records))
    before = downstream.settings_of("smoke", scale, data, available, task_files)
    assert before == downstream.settings_of("smoke", scale, data, available, task_files)
    with (task_files / "wnut17" / "dev.conll").open("a") as file:
        file.write("Bern\tB-location\n")
    after = downstream.settings_of("smoke", scale, data, available, task_files)
    assert [name for name in before if before[name] != after[name]] == ["tasks"]
    assert before["tasks"]["SST-2"] == after["tasks"]["SST-2"]
    assert downstream.texts_of_dev(available, task_files)[0] == "the good film number 0"
    with pytest.raises(kbs.UserError, match="none needs the files of at least one task"):
        downstream.available_tasks((downstream.SST2,), Path("none"))


@pytest.mark.parametrize(("length", "shared"), [(16, True), (128, False)])
def test_bert_and_no_nsp_share_rows_too_short_for_pairs(records, length, shared, monkeypatch):
    study, corpus = importlib.import_module("bidirectional"), importlib.import_module("corpus")
    scale = dataclasses.replace(importlib.import_module("scales").scale_of("laptop"), length=length, steps=100)
    data = corpus.Corpus(Path(), kbs.PretrainingRecords(records), kbs.PretrainingRecords(records))
    runs = {}

    def pretrain(records, init, out, how, batch, length, seed, held_out, rules):
        runs[out.name] = (getattr(init, "name", "random"), how.steps, length, rules.pairs, rules.objective)
        return types.SimpleNamespace(path=out)

    monkeypatch.setattr(kbs, "pretrain", pretrain)
    for name in ("bert", "no-nsp", "left", "right"):
        study._start(name, 7, Path("out"), data, scale)
    first = {name: found for name, found in runs.items() if found[0] == "random"}
    second = {name: found for name, found in runs.items() if found[0] != "random"}
    assert {found[1:3] for found in first.values()} == {(70, length)}
    assert {found[1:3] for found in second.values()} == {(30, scale.second_length)}
    assert (second["bert-7"][0] == second["no-nsp-7"][0]) == shared
    assert {name: (first[found[0]][3:], found[3:]) for name, found in second.items()} == {
        "bert-7": (("none" if shared else "next", "masked"), ("next", "masked")),
        "no-nsp-7": (("none", "masked"), ("none", "masked")),
        "left-7": (("none", "left-to-right"), ("none", "left-to-right")),
        "right-7": (("none", "right-to-left"), ("none", "right-to-left")),
    }


def test_students_learn_for_equal_steps_with_equal_dropout(task_files, text, records, small, tokenizer, monkeypatch):
    study, corpus = importlib.import_module("students"), importlib.import_module("corpus")
    data = corpus.Corpus(text, kbs.PretrainingRecords(records), kbs.PretrainingRecords(records))
    model = kbs.BertMaskedLM(kbs.BertBackbone(small, pooler=False))
    steps, dropout = {}, {}

    def learn(rows, init, out, how):
        name = out.name.rsplit("-", 1)[0]
        steps[name] = how.training_options(len(rows["text"]) / how.batch_size).steps
        config = init if isinstance(init, kbs.BertConfig) else kbs.BertBackbone.from_pretrained(init).config
        dropout[name] = (config.hidden_dropout, config.attention_dropout)

    monkeypatch.setattr(study, "prepare", lambda *arguments: data)
    monkeypatch.setattr(study, "pretrained", lambda run, *others: model.save_pretrained(run, tokenizer))
    monkeypatch.setattr(kbs, "evaluate", lambda *arguments: {"accuracy": 0.5})
    monkeypatch.setattr(
        kbs,
        "finetune",
        lambda task, init, rows, out, how, **_: None if "distilled" in str(init) else learn(rows, init, out, how),
    )
    monkeypatch.setattr(kbs, "distill", lambda teacher, init, rows, out, how, **_: learn(rows, init, out, how))
    Path("teacher").mkdir()
    Path("teacher/model.weights.h5").write_bytes(b"one")
    study.main(Path("out"), task_files, teacher=Path("teacher"), seeds=1)
    rows = {f"{start}-{way}" for start in ("random-weights", "pretrained") for way in ("alone", "distilled")}
    assert steps == dict.fromkeys(rows, study.TUNING_STEPS)
    assert dropout == dict.fromkeys(rows, (0.1, 0.1))
    Path("teacher/model.weights.h5").write_bytes(b"another")
    with pytest.raises(kbs.UserError, match="out: contains a study with"):
        study.main(Path("out"), task_files, teacher=Path("teacher"), seeds=1)


@pytest.mark.parametrize("steps", ["0", "900,,x", "10,", "1.5"])
def test_steps_that_are_no_numbers_are_refused(steps):
    with pytest.raises(kbs.UserError, match="`steps`: must be numbers separated by commas, such as 900,2700, not"):
        importlib.import_module("when_it_pays").main(Path("out"), steps=steps, scale="smoke")
