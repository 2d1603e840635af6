"""How many lines of text `detokenize` restores from their tokens.

    python benchmarks/spacing.py shared/data/multi30k/train.de shared/data/multi30k/train.en

For each file a cased vocabulary is learnt, whose tokens cover every character of the file; its lines are tokenized and
detokenized. Several spaces in a row count as one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import keras_bert_scratch as kbs

LINES_AT_ONCE = 4096


def main(files: Annotated[list[Path], typer.Argument(help="Files with one text per line.")]) -> None:
    """Prints for each file how many lines are the same."""
    for file in files:
        lines = [" ".join(line.split()) for line in file.read_text().split("\n") if line.strip()]
        tokenizer = kbs.BertTokenizer(kbs.learn_vocabulary(lines, 8000, lowercase=False), lowercase=False)
        same = 0
        for start in range(0, len(lines), LINES_AT_ONCE):
            some = lines[start : start + LINES_AT_ONCE]
            back = tokenizer.detokenize(tokenizer.tokenize(some)).numpy()
            same += sum(one.decode() == line for one, line in zip(back, some, strict=True))
        print(f"{file}: {same:,} of {len(lines):,} lines, {same / len(lines):.2%}")


if __name__ == "__main__":
    typer.run(main)
