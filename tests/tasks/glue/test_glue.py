"""GLUE as a whole: runs, scores by set, files for the server, and what a second call repeats."""

import dataclasses
import json
import statistics
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn import metrics
from tasks.glue.glue_data import rows, write_copied, write_shipped

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.glue import benchmark, measured
from keras_bert_scratch.tasks.glue.catalogue import GLUE, glue_task
from keras_bert_scratch.tasks.glue.published import PUBLISHED
from keras_bert_scratch.tasks.glue.three_classes import three_class_model
from keras_bert_scratch.training import resumable

DATA = Path("data")
QUICK = kbs.FineTuning(epochs=1, batch_size=4, max_length=16)


@pytest.fixture(autouse=True)
def untrained(monkeypatch, eagerly):
    """Runs train no step, so that a model answers as its initial weights do; `tests/commands` has one that learns."""
    monkeypatch.setattr(resumable, "train", lambda *_: 1)


def nli_model(config, tokenizer, labels: tuple[str, ...], said: str, folder: str = "nli") -> Path:
    """A model with classes in this order that always predicts `said`."""
    model = kbs.BertTextClassifier(kbs.BertBackbone(config), len(labels), label_names=labels)
    model.classifier_head.bias.assign([9.0 * (name == said) for name in labels])
    spec = kbs.Spec("pair-classification", ("text", "text_pair"), 32, labels)
    kbs.FineTuned(model, tokenizer, spec).save(folder)
    return Path(folder)


def answers(name: str) -> list[list[str]]:
    return [line.split("\t") for line in Path(f"out/submission/{name}.tsv").read_text().splitlines()]


def test_a_model_of_mnli_is_matched_by_name_and_everything_is_done_once(small, tokenizer, monkeypatch):
    """Its classes are in another order. It always predicts contradiction, so the right answers can be counted."""
    init = nli_model(small, tokenizer, ("neutral", "contradiction", "entailment"), "contradiction")
    for task in ("MNLI", "RTE", "AX"):
        write_shipped(DATA, task, "0120212")
    # One more contradiction in the mismatched set, so that the two sets have different scores.
    mismatched = DATA / "MNLI" / "dev_mismatched.tsv"
    mismatched.write_text(mismatched.read_text().replace("\tneutral\n", "\tcontradiction\n", 1))
    said = []
    results = kbs.glue(init, DATA, "out", how=QUICK, say=said.append)
    assert said[0] == "left out: CoLA, SST-2, MRPC, QQP, STS-B, QNLI, WNLI: not in data"
    assert said[1:] == [
        "MNLI, 1 of 3: fine-tuning in out/MNLI",
        "RTE, 2 of 3: fine-tuning in out/RTE",
        "AX, 3 of 3: answered by out/MNLI",
    ]
    assert json.loads(Path("out/glue.json").read_text()) == results
    sets = results["tasks"]["MNLI"]["sets"]
    assert {name: one["metrics"]["accuracy"]["mean"] for name, one in sets.items()} == {
        "MNLI-m": 0.4286,
        "MNLI-mm": 0.5714,
    }
    assert sets["MNLI-mm"]["majority"] == {"accuracy": 0.5714}
    # With the three classes, nothing is predicted as entailed, which is right for two of seven. RTE's own head is new.
    assert results["tasks"]["RTE"]["three_class_init"] == {"accuracy": round(2 / 7, 4)}
    assert kbs.Spec.load("out/RTE").labels == ("entailment", "not_entailment")
    for name in ("MNLI-m", "MNLI-mm", "AX"):
        assert answers(name) == [["index", "prediction"], *([str(n), "contradiction"] for n in range(7))]
    header, *lines = answers("RTE")
    assert header == ["index", "prediction"]
    assert {label for _, label in lines} <= {"entailment", "not_entailment"}
    assert not list(Path("out/RTE").glob("*.tsv")) + list(Path("out/MNLI").glob("*.tsv"))

    # Again, with another test file of AX: only this file is answered.
    written = {file.name: file.stat().st_mtime_ns for file in Path("out/submission").iterdir()}
    write_shipped(Path("other"), "AX", "012")
    (Path("other") / "AX" / "AX.tsv").rename(DATA / "AX" / "AX.tsv")
    asked = []
    monkeypatch.setattr(FineTuned, "evaluate", lambda *_: pytest.fail("measured again"))
    stream = FineTuned.predict_stream
    monkeypatch.setattr(FineTuned, "predict_stream", lambda self, *some: asked.append(1) or stream(self, *some))
    again = kbs.glue(init, DATA, "out", how=QUICK, say=said.append)
    assert said[-3:] == [
        "MNLI, 1 of 3: out/MNLI is finished",
        "RTE, 2 of 3: out/RTE is finished",
        "AX, 3 of 3: answered by out/MNLI",
    ]
    assert len(asked) == 1
    assert [name for name, time in written.items() if Path(f"out/submission/{name}").stat().st_mtime_ns != time] == [
        "AX.tsv"
    ]
    assert len(answers("AX")) == 4
    assert {**again, "tasks": 0} == {**results, "tasks": 0}
    assert again["tasks"]["MNLI"] == results["tasks"]["MNLI"]


@pytest.mark.slow
def test_several_seeds_have_a_mean_and_a_deviation_also_of_the_mismatched_set(small, tokenizer, monkeypatch):
    """The model of the first seed always predicts neutral, the model of the second contradiction."""
    write_copied(DATA, "MNLI", "0120212")
    mismatched = DATA / "mnli" / "dev_mismatched.tsv"
    mismatched.write_text(mismatched.read_text().replace("\t1\t", "\t2\t"))
    labels = ("contradiction", "entailment", "neutral")
    said = iter(["neutral", "contradiction"])

    def learn(model, *_):
        word = next(said)
        model.classifier_head.bias.assign([9.0 * (label == word) for label in labels])
        return 1

    monkeypatch.setattr(resumable, "train", learn)
    results = kbs.glue(small, DATA, "out", ["mnli"], QUICK, seeds=2, tokenizer=tokenizer)
    assert kbs.Spec.load("out/MNLI").labels == labels
    for name, right in (("MNLI-m", [2 / 7, 3 / 7]), ("MNLI-mm", [0, 5 / 7])):
        score = results["tasks"]["MNLI"]["sets"][name]["metrics"]["accuracy"]
        assert score["by_seed"] == pytest.approx(right, abs=1e-4)
        assert score["mean"] == pytest.approx(statistics.mean(right), abs=1e-4)
        assert score["sd"] == pytest.approx(statistics.stdev(right), abs=1e-4)
    # The second is better on the matched set, so its answers are written.
    assert {label for _, label in answers("MNLI-mm")[1:]} == {"contradiction"}


def test_scores_go_to_the_server_between_0_and_5_but_are_measured_as_they_are(small, tokenizer):
    write_shipped(DATA, "STS-B", "0123")
    results = kbs.glue(small, DATA, "out", how=QUICK, tokenizer=tokenizer)
    _, *lines = answers("STS-B")
    assert all(0 <= float(score) <= 5 for _, score in lines)
    texts = rows("STS-B", "test", "0123")
    raw = {"text": [row[0] for row in texts], "text_pair": [row[1] for row in texts]}
    assert [float(score) for _, score in lines] == pytest.approx(
        [min(5, max(0, one["score"])) for one in kbs.predict("out/STS-B", raw)], abs=6e-4
    )
    assert results["tasks"]["STS-B"]["sets"]["STS-B"]["majority"] == {"pearson": None, "spearman": None}


def test_skipped_rows_of_dev_do_not_count(small, tokenizer, caplog):
    """Training has no contradiction; one dev row of RTE has a label that no model knows."""
    write_shipped(DATA, "MNLI", "0012")
    train = DATA / "MNLI" / "train.tsv"
    train.write_text(train.read_text().replace("contradiction", "neutral"))
    write_shipped(DATA, "RTE", "0111")
    dev = DATA / "RTE" / "dev.tsv"
    lines = dev.read_text().splitlines()
    dev.write_text("\n".join([*lines, lines[-1].replace("not_entailment", "maybe")]) + "\n")
    init = nli_model(small, tokenizer, ("neutral", "contradiction", "entailment"), "contradiction")
    results = kbs.glue(init, DATA, "out", how=QUICK, on_bad_row="skip")["tasks"]
    for name in ("MNLI-m", "MNLI-mm"):
        one = results["MNLI"]["sets"][name]
        assert (one["examples"], one["majority"]) == (3, {"accuracy": 0.6667})
    one = results["RTE"]["sets"]["RTE"]
    assert (one["examples"], one["majority"]) == (4, {"accuracy": 0.75})
    assert results["RTE"]["three_class_init"] == {"accuracy": 0.75}


class TinyGlue(tfds.core.GeneratorBasedBuilder):
    """Two tasks as TensorFlow Datasets has them: named classes, rows in its own order, -1 in the test split."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("sst2", "mrpc")]

    def _info(self):
        names = ["negative", "positive"] if self.builder_config.name == "sst2" else ["not_equivalent", "equivalent"]
        texts = ["sentence"] if self.builder_config.name == "sst2" else ["sentence1", "sentence2"]
        features = {name: tfds.features.Text() for name in texts}
        features |= {"label": tfds.features.ClassLabel(names=names), "idx": np.int32}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(1),
            "validation": self._generate_examples(1),
            "test": self._generate_examples(0),
        }

    def _generate_examples(self, labelled):
        for n in range(20):
            texts = {name: f"heron {n}" for name in self.info.features if name.startswith("sentence")}
            yield n, {**texts, "label": n % 4 // 3 if labelled else -1, "idx": n}


def test_tensorflow_datasets(small, tokenizer, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    results = kbs.glue(small, "tfds:tiny_glue", "out", ["MRPC"], QUICK, tokenizer=tokenizer)
    assert kbs.Spec.load("out/MRPC").labels == ("0", "1")
    one = results["tasks"]["MRPC"]["sets"]["MRPC"]
    assert (one["examples"], one["majority"]) == (20, {"f1": 0.0, "accuracy": 0.75})  # F1 of the class equivalent
    assert [number for number, _ in answers("MRPC")[1:]] == [str(n) for n in range(20)]
    assert {label for _, label in answers("MRPC")[1:]} <= {"0", "1"}


@pytest.mark.parametrize(
    ("there", "tasks", "saying"),
    [
        (["RTE"], ["SST-2", "colla"], r"`tasks`: 'colla' is not a GLUE task; choose among CoLA, SST-2"),
        (["RTE"], ["sst2"], r"data: has no folder SST-2; put GLUE's folder there, or remove the task from `tasks`"),
        (["RTE", "AX"], ["AX"], r"`tasks`: AX is answered by the model of MNLI, .* nor finished in out; add MNLI"),
        (["AX"], [], r"data: holds only AX, which is answered by the model of MNLI.*; put MNLI next to it"),
        ([], [], r"data: holds no GLUE task; each needs a folder such as CoLA"),
        (None, [], r"data: no such folder; `data` must be the folder of GLUE's tasks"),
    ],
)
def test_tasks_that_cannot_be_run(there, tasks, saying, small, tokenizer):
    if there is not None:
        DATA.mkdir()
    for task in there or ():
        write_shipped(DATA, task)
    with pytest.raises(kbs.UserError, match=saying):
        kbs.glue(small, DATA, "out", tasks, QUICK, tokenizer=tokenizer)
    assert not Path("out").exists()


def test_every_file_is_looked_at_before_the_first_run(small, tokenizer):
    write_shipped(DATA, "CoLA")
    write_shipped(DATA, "RTE")
    (DATA / "RTE" / "dev.tsv").unlink()
    with pytest.raises(kbs.UserError, match=r"RTE: has no dev\.tsv"):
        kbs.glue(small, DATA, "out", how=QUICK, tokenizer=tokenizer)
    assert not Path("out").exists()


def test_a_data_folder_that_is_a_file(small, tokenizer):
    DATA.write_text("")
    with pytest.raises(kbs.UserError, match="data: is a file; `data` must be the folder"):
        kbs.glue(small, DATA, "out", tokenizer=tokenizer)


@pytest.mark.parametrize("labels", ["0111", "0001", "1111", "0101"])
def test_the_majority_is_scored_as_scikit_learn_does(labels):
    spec = kbs.Spec("pair-classification", ("text", "text_pair"), 8, ("0", "1"))
    gold = [int(label) for label in labels]
    scores = measured.majority_scores(spec, np.array(gold), ("f1", "accuracy", "matthews"))
    always = [round(np.mean(gold) - 1e-9)] * len(gold)
    assert scores["accuracy"] == metrics.accuracy_score(gold, always)
    assert scores["f1"] == pytest.approx(metrics.f1_score(gold, always, zero_division=0), abs=1e-4)
    assert scores["matthews"] is None  # where scikit-learn returns 0


@pytest.mark.parametrize(
    ("labels", "is_one"),
    [
        (("neutral", "ENTAILMENT", "contradiction"), True),
        (("a", "b", "c"), False),
        (("entailment", "not_entailment"), False),
    ],
)
def test_which_models_have_three_classes(labels, is_one, small, tokenizer):
    model = three_class_model(nli_model(small, tokenizer, labels, labels[1]), 32)
    assert (model is not None) is is_one
    if is_one:
        assert model.predict({"text": ["a"], "text_pair": ["b"]})[0]["label"] == "ENTAILMENT"
    assert three_class_model(small, 32) is None


# What a second call changes, and what the error says about the run in `out`.
OTHER_CALLS = [
    ({"init": {"num_layers": 2}}, r"start\.num_layers 1, not 2"),
    ({"how": {"epochs": 3.0}}, r"epochs 1, not 3\.0"),
    ({"how": {"batch_size": 8, "learning_rate": 0.25}}, r"batch_size 4, not 8; training\.learning_rate .*, not 0\.25"),
    ({"how": {"max_length": 12}}, r"spec\.max_length 16, not 12"),
    ({"options": kbs.RunOptions(dtype="bfloat16")}, "dtype float32, not bfloat16"),
    ({"seed": 1}, "seed 0, not 1"),
    ({"seeds": 2}, r"seed 0, not none; seeds none, not \[0, 1\]"),
    ({"data": "other"}, "the data data, not other"),
]


def test_a_table_holds_one_model_with_one_set_of_settings(small, tokenizer):
    """Other settings are refused before anything is trained; with the same ones, another task is added."""
    for task in ("SST-2", "CoLA"):
        write_shipped(DATA, task)
        write_shipped(Path("other"), task)
    kbs.glue(small, DATA, "out", ["SST-2"], QUICK, tokenizer=tokenizer)
    written = Path("out/glue.json").read_text()
    for changes, said in OTHER_CALLS:
        init, how = small.replace(**changes.get("init", {})), dataclasses.replace(QUICK, **changes.get("how", {}))
        data = Path(changes.get("data", DATA))
        others = {name: value for name, value in changes.items() if name not in ("init", "how", "data")}
        with pytest.raises(kbs.UserError, match=rf"^out: holds SST-2 of {said}; use the same .* another `out`$"):
            kbs.glue(init, data, "out", ["CoLA"], how, tokenizer=tokenizer, **others)
        assert not Path("out/CoLA").exists()
        assert Path("out/glue.json").read_text() == written
    results = kbs.glue(small, DATA, "out", ["CoLA"], QUICK, tokenizer=tokenizer)
    assert list(results["tasks"]) == ["CoLA", "SST-2"]


def test_names_of_tasks():
    assert [glue_task(name).name for name in ("cola", "SST2", "sts_b", "MNLI")] == ["CoLA", "SST-2", "STS-B", "MNLI"]


# The leaderboard's score of the miniatures is the mean over nine tasks, after averaging a task's two metrics and MNLI's
# two sets. The paper's mean of BERT-base leaves out WNLI and counts the two sets of MNLI separately
# (recipes/README.md has these figures).
@pytest.mark.parametrize(
    ("model", "score"),
    [("BERT-Tiny", 64.2), ("BERT-Mini", 65.8), ("BERT-Small", 71.2), ("BERT-Medium", 73.5), ("BERT-base", 79.6)],
)
def test_published_figures_have_the_published_mean(model, score):
    by_set = PUBLISHED[model]
    for task in GLUE.values():
        for one in task.sets:
            assert one.name not in by_set or len(by_set[one.name]) == len(task.metrics)
    means = {
        name: statistics.mean(figure for figure in figures if figure is not None) for name, figures in by_set.items()
    }
    if model != "BERT-base":
        means["MNLI"] = (means.pop("MNLI-m") + means.pop("MNLI-mm")) / 2
    assert len(means) == 9
    assert statistics.mean(means.values()) == pytest.approx(score, abs=0.1)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(benchmark.tf.distribute, "MultiWorkerMirroredStrategy", object)
    with pytest.raises(kbs.UserError, match="`strategy`: GLUE runs in one process"):
        kbs.glue("init", DATA, "out", strategy=object())
