"""Folders of GLUE's tasks in the server's own form and in the form of other copies; a few rows in each file."""

from pathlib import Path

# By task: the headers of the train, dev and test files in GLUE's zip; the first two of CoLA have none.
SHIPPED = {
    "CoLA": ("", "", "index sentence"),
    "SST-2": ("sentence label", "sentence label", "index sentence"),
    "MRPC": ("Quality|#1 ID|#2 ID|#1 String|#2 String",) * 2 + ("index|#1 ID|#2 ID|#1 String|#2 String",),
    "QQP": ("id qid1 qid2 question1 question2 is_duplicate",) * 2 + ("id question1 question2",),
    "STS-B": ("index genre filename year old_index source1 source2 sentence1 sentence2 score",) * 2
    + ("index genre filename year old_index source1 source2 sentence1 sentence2",),
    "MNLI": (
        "index promptID pairID genre sentence1_parse sentence2_parse sentence1 sentence2 label1 gold_label",
        "index promptID pairID genre sentence1_parse sentence2_parse sentence1 sentence2 label1 label2 gold_label",
        "index promptID pairID genre sentence1_parse sentence2_parse sentence1 sentence2",
    ),
    "QNLI": ("index question sentence label",) * 2 + ("index question sentence",),
    "RTE": ("index sentence1 sentence2 label",) * 2 + ("index sentence1 sentence2",),
    "WNLI": ("index sentence1 sentence2 label",) * 2 + ("index sentence1 sentence2",),
    "AX": ("", "", "index sentence1 sentence2"),
}
# The columns of Hugging Face's copies, written to files: labels are numbers, -1 in the test file.
COPIED = {
    "CoLA": "sentence label idx",
    "SST-2": "sentence label idx",
    "MRPC": "sentence1 sentence2 label idx",
    "QQP": "question1 question2 label idx",
    "STS-B": "sentence1 sentence2 label idx",
    "MNLI": "premise hypothesis label idx",
    "QNLI": "question sentence label idx",
    "RTE": "sentence1 sentence2 label idx",
    "WNLI": "sentence1 sentence2 label idx",
    "AX": "premise hypothesis label idx",
}
# The names of the first and of the second text (in QNLI, the sentence is the second one).
FIRST = ("#1 String", "question1", "question", "sentence1", "premise")
SECOND = ("#2 String", "question2", "sentence2", "hypothesis")
# The server's names of the classes, in the order of their numbers.
CLASSES = {
    **dict.fromkeys(("CoLA", "SST-2", "MRPC", "QQP", "WNLI"), ("0", "1")),
    **dict.fromkeys(("QNLI", "RTE"), ("entailment", "not_entailment")),
    **dict.fromkeys(("MNLI", "AX"), ("entailment", "neutral", "contradiction")),
}
SCORES = ("0.000", "5.000", "2.600", "3.750")
PARTS = {"MNLI": ("train", "dev_matched", "dev_mismatched", "test_matched", "test_mismatched"), "AX": ("AX",)}
PAIRS = set(SHIPPED) - {"CoLA", "SST-2"}


def parts(task: str) -> tuple[str, ...]:
    return PARTS.get(task, ("train", "dev", "test"))


def is_test(part: str) -> bool:
    return part.startswith(("test", "AX"))


def rows(task: str, part: str, labels: str = "0110") -> list[tuple[str, str, str]]:
    """First text, second text and the server's name of the label; `labels` are the classes' numbers."""
    names = SCORES if task == "STS-B" else CLASSES[task]
    return [
        (f'Day {number}: the "heron of {task} {part}.', f"otter {number}'s", names[int(label) % len(names)])
        for number, label in enumerate(labels)
    ]


def cell(task: str, column: str, row: tuple[str, str, str], number: int) -> str:
    """The cell of a row in this column."""
    if column in ("index", "id", "idx"):
        return str(number)
    if column in FIRST or (column == "sentence" and task != "QNLI"):
        return row[0]
    if column in SECOND or column == "sentence":
        return row[1]
    if column in ("label", "Quality", "is_duplicate", "score", "gold_label"):
        return row[2]
    return f"{column} {number}"  # no task reads it


def write_shipped(data: Path, task: str, labels: str = "0110", folder: str = "") -> None:
    """The task's folder as in GLUE's zip."""
    where = data / (folder or task)
    where.mkdir(parents=True)
    for part in parts(task):
        header = SHIPPED[task][2 if is_test(part) else 1 if part.startswith("dev") else 0]
        names = header.split("|") if "|" in header else header.split()
        lines = ["\t".join(names)] if names else []
        for number, row in enumerate(rows(task, part, labels)):
            cells = [cell(task, name, row, number) for name in names]
            lines.append("\t".join(cells or ("gj04", row[2], "" if row[2] == "1" else "*", row[0])))
        (where / f"{part}.tsv").write_text("".join(f"{line}\n" for line in lines))


def write_copied(data: Path, task: str, labels: str = "0110") -> None:
    """The same rows in Hugging Face's form, in a folder whose name is spelled differently."""
    where = data / task.lower().replace("-", "")
    where.mkdir(parents=True)
    names = COPIED[task].split()
    for part in parts(task):
        lines = ["\t".join(names)]
        for number, (first, second, label) in enumerate(rows(task, part, labels)):
            if task != "STS-B":
                label = str(CLASSES[task].index(label))
            row = (first, second, "-1" if is_test(part) else label)
            lines.append("\t".join(cell(task, name, row, number) for name in names))
        (where / f"{part}.tsv").write_text("".join(f"{line}\n" for line in lines))
