"""GLUE's files in every form: the same texts and labels, whatever their names; and errors for a wrong folder."""

from pathlib import Path

import pytest
from tasks.glue.glue_data import CLASSES, PAIRS, SHIPPED, is_test, parts, rows, write_copied, write_shipped
from tensorflow_datasets.text.glue import Glue

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.glue.catalogue import GLUE
from keras_bert_scratch.tasks.glue.files import files_of, tasks_in
from keras_bert_scratch.tasks.glue.submission import read_test
from keras_bert_scratch.tasks.registry import get_task

DATA = Path("glue")


def files(task: str, on_bad_row: str = "fail"):
    return files_of(GLUE[task], tasks_in(DATA)[task], on_bad_row)


def read(task: str, source, on_bad_row: str = "fail") -> list[tuple]:
    """First text, second text and label of each row, as the task that trains on them reads them."""
    ours = get_task(GLUE[task].task)
    spec, examples = ours.read(source, kbs.Spec(ours.name, (), 32), on_bad_row)
    texts = [examples.raw[name] for name in spec.columns]
    gold = examples.gold["score"] if "score" in examples.gold else [spec.labels[n] for n in examples.gold["label"]]
    return list(zip(*texts, gold, strict=True))


def expected(task: str, part: str) -> list[tuple]:
    found = rows(task, part)
    labels = [float(label) if task == "STS-B" else label for *_, label in found]
    texts = [row[:2] if task in PAIRS else row[:1] for row in found]
    return [
        (*some, pytest.approx(label) if task == "STS-B" else label) for some, label in zip(texts, labels, strict=True)
    ]


@pytest.mark.parametrize("write", [write_shipped, write_copied], ids=["shipped", "copied"])
@pytest.mark.parametrize("task", SHIPPED)
def test_every_form_has_the_same_rows(task, write):
    write(DATA, task)
    found = files(task)
    labelled = [part for part in parts(task) if not is_test(part)]
    tables = [found.train, *found.dev.values()] if labelled else []
    for part, table in zip(labelled, tables, strict=True):
        assert read(task, table) == expected(task, part), part
    spec = kbs.Spec(GLUE[task].task, ("text", "text_pair") if task in PAIRS else ("text",), 32)
    for part, source in zip(filter(is_test, parts(task)), found.test.values(), strict=True):
        table = read_test(source, spec)
        assert list(zip(*(table.columns[name] for name in spec.columns), strict=True)) == [
            row[: len(spec.columns)] for row in rows(task, part)
        ]
        assert table.columns["index"] == [0, 1, 2, 3]


@pytest.mark.parametrize("config", Glue.BUILDER_CONFIGS, ids=lambda config: config.name)
def test_columns_and_classes_are_those_of_tensorflow_datasets(config):
    """We know its names of the columns and the names in GLUE's files, and have the same order of classes."""
    name = {"mnli_matched": "mnli", "mnli_mismatched": "mnli"}.get(config.name, config.name)
    task = next(task for task in GLUE.values() if task.tfds == name)
    for role, (theirs, in_file) in zip(("text", "text_pair"), config.text_features.items(), strict=False):
        assert {theirs, in_file or theirs} <= set(task.columns[role])
    assert len(config.text_features) == len(set(task.columns) - {"label"})
    if config.label_column:
        assert config.label_column in task.columns["label"]
    for number, name in enumerate(config.label_classes or ()):
        assert task.labels[name] == task.labels[str(number)] == CLASSES[task.name][number]


def test_the_last_class_is_the_one_that_f1_is_of():
    """The paraphrase, whatever a file calls it."""
    for task in ("MRPC", "QQP"):
        assert sorted(set(GLUE[task].labels.values()))[-1] == GLUE[task].labels["1"] == "1"


def test_cola_with_a_header_is_told_from_cola_without(monkeypatch):
    write_shipped(DATA, "CoLA")
    file = DATA / "CoLA" / "train.tsv"
    file.write_text("source\tlabel\tmark\tsentence\n" + file.read_text())
    assert read("CoLA", files("CoLA").train) == expected("CoLA", "train")


def test_a_compressed_file_and_one_of_another_format():
    import gzip

    write_shipped(DATA, "SST-2")
    train = DATA / "SST-2" / "train.tsv"
    (DATA / "SST-2" / "train.tsv.gz").write_bytes(gzip.compress(train.read_bytes()))
    train.unlink()
    (DATA / "SST-2" / "train.csv").write_text("sentence,label\nanother one,0\n")  # GLUE's own endings take precedence
    assert read("SST-2", files("SST-2").train) == expected("SST-2", "train")


MSR = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
PAIRS_OF_MSR = ['1\t7\t8\tA "b.\tC.\n', "0\t3\t4\tD.\tE.\n", "1\t5\t6\tF.\tG.\n", "0\t9\t2\tH.\tI.\n"]


def write_msr(ids: str | None) -> None:
    (DATA / "MRPC").mkdir(parents=True)
    (DATA / "MRPC" / "msr_paraphrase_train.txt").write_text("\ufeff" + MSR + "".join(PAIRS_OF_MSR))
    (DATA / "MRPC" / "msr_paraphrase_test.txt").write_text("\ufeff" + MSR + PAIRS_OF_MSR[0])
    if ids is not None:
        (DATA / "MRPC" / "dev_ids.tsv").write_text(ids)


def test_mrpc_as_microsoft_ships_it_is_split_by_the_list_of_pairs():
    write_msr("3\t4\n5\t6\n")
    found = files("MRPC")
    assert read("MRPC", found.train) == [('A "b.', "C.", "1"), ("H.", "I.", "0")]
    assert read("MRPC", found.dev["MRPC"]) == [("D.", "E.", "0"), ("F.", "G.", "1")]
    table = read_test(found.test["MRPC"], kbs.Spec("pair-classification", ("text", "text_pair"), 32))
    assert table.columns == {"text": ['A "b.'], "text_pair": ["C."], "index": [0]}


@pytest.mark.parametrize(
    ("ids", "saying"),
    [
        (None, r"glue/MRPC: has no dev\.tsv or dev_ids\.tsv, which lists the held-out pairs"),
        ("3\t5\n", r"dev_ids\.tsv: lists no pair of .*msr_paraphrase_train\.txt"),
        ("7\t8\n3\t4\n5\t6\n9\t2\n", r"dev_ids\.tsv: lists every pair"),
        ("3\n", r"dev_ids\.tsv: line 1 has 1 cell"),
    ],
)
def test_a_list_of_pairs_that_cannot_be(ids, saying):
    write_msr(ids)
    with pytest.raises(kbs.UserError, match=saying):
        files("MRPC")


def test_a_broken_row_of_qqp_is_named_or_counted(caplog):
    write_shipped(DATA, "QQP")
    file = DATA / "QQP" / "train.tsv"
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace("of QQP", "of\nQQP")
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(
        kbs.UserError, match=r"QQP/train\.tsv: line 3 has 4 cells, but the header names 6 columns; .*skip"
    ):
        read("QQP", files("QQP").train)
    assert read("QQP", files("QQP").train, "skip") == [row for n, row in enumerate(expected("QQP", "train")) if n != 1]
    assert "left out 2 rows: number of cells" in caplog.text


def test_a_label_that_the_task_has_not(caplog):
    """Pairs of MNLI without an agreed label have '-'; it is not a fourth class."""
    write_shipped(DATA, "MNLI")
    file = DATA / "MNLI" / "dev_matched.tsv"
    file.write_text(file.read_text().replace("\tneutral\n", "\t-\n", 1))
    source = files("MNLI").dev["MNLI-m"]
    with pytest.raises(
        kbs.UserError, match=r"dev_matched\.tsv: line 3 has the label '-', which is not one of .*'entailment'"
    ):
        read("MNLI", source)
    assert len(read("MNLI", source, "skip")) == 3
    assert "left out 1 rows: unknown label" in caplog.text


def without(name):
    return lambda: (DATA / name).unlink()


def with_header(name, header):
    def change():
        file = DATA / name
        file.write_text("\n".join([header, *file.read_text().splitlines()[1:]]))

    return change


@pytest.mark.parametrize(
    ("task", "change", "saying"),
    [
        ("SST-2", without("SST-2/train.tsv"), r"glue/SST-2: has no train\.tsv; copy it from GLUE's SST-2"),
        ("SST-2", without("SST-2/dev.tsv"), r"glue/SST-2: has no dev\.tsv"),
        ("MRPC", without("MRPC/train.tsv"), r"MRPC: has no train\.tsv or msr_paraphrase_train\.txt; copy it from"),
        ("MNLI", without("MNLI/dev_mismatched.tsv"), r"glue/MNLI: has no dev_mismatched\.tsv"),
        ("AX", without("AX/AX.tsv"), r"glue/AX: has no AX\.tsv or diagnostic\.tsv or test\.tsv"),
        (
            "SST-2",
            with_header("SST-2/dev.tsv", "words\tlabel"),
            r"dev\.tsv: has no column 'sentence', but 'words', 'label'",
        ),
        ("QQP", with_header("QQP/test.tsv", "id\tquestion1\tq2"), r"QQP/test\.tsv: has no column 'question2'"),
        ("RTE", lambda: (DATA / "RTE/train.tsv").write_text(""), r"RTE/train\.tsv: is empty"),
    ],
)
def test_a_folder_that_lacks_something(task, change, saying):
    write_shipped(DATA, task)
    change()
    with pytest.raises(kbs.UserError, match=saying):
        files(task)


def test_only_test_files_may_be_missing():
    write_shipped(DATA, "MNLI")
    (DATA / "MNLI" / "test_matched.tsv").unlink()
    assert list(files("MNLI").test) == ["MNLI-mm"]


@pytest.mark.parametrize(
    ("folder", "file"), [("AX", "AX.tsv"), ("diagnostic", "diagnostic.tsv"), ("ax", "test.tsv"), (".", "AX.tsv")]
)
def test_where_the_diagnostics_may_lie(folder, file):
    write_shipped(DATA, "AX", folder="there")
    (DATA / folder).mkdir(exist_ok=True)
    (DATA / "there" / "AX.tsv").rename(DATA / folder / file)
    assert list(files("AX").test) == ["AX"]
