"""The tables of RESULTS.md, from the measurements of studies.

    python experiments/report.py [OUT...]

Each OUT is the folder of a study: its measurements and its pictures are copied to `results/`, under the name of its
script. Then every table of RESULTS.md is generated from there; the text around the tables stays.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Annotated

import typer
from study import FILE, report

from keras_bert_scratch import atomic
from keras_bert_scratch.commands.main import handle_errors
from keras_bert_scratch.errors import UserError

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results", HERE / "RESULTS.md"
SCALES = ("laptop", "paper")  # that say something; "smoke" tests whether a study runs
TABLE = re.compile(r"(<!-- (\w+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def main(
    studies: Annotated[
        list[Path] | None, typer.Argument(help="Folders of studies, each named after its script.")
    ] = None,
) -> None:
    """Copies the measurements, and writes the tables."""
    RESULTS.mkdir(exist_ok=True)
    for folder in studies or ():
        if not (HERE / f"{folder.name}.py").exists():
            raise UserError(f"{folder}: must have the name of the study's script, such as bidirectional; rename it")
        scale = atomic.read_json(folder / FILE, "measure the study again").get("settings", {}).get("scale")
        if scale not in SCALES:
            raise UserError(
                f"{folder}: was measured at the scale {scale}, which shows nothing; measure it at {' or '.join(SCALES)}"
            )
    for folder in studies or ():
        shutil.copy(folder / FILE, RESULTS / f"{folder.name}.json")
        for picture in folder.glob("*.png"):
            shutil.copy(picture, RESULTS / f"{folder.name}_{picture.name}")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{PAGE}: written")


def with_tables(page: str) -> str:
    """Returns the page with each table generated from its file in `results/`."""
    return TABLE.sub(lambda found: f"{found[1]}{_table(found[2])}{found[3]}", page)


def _table(name: str) -> str:
    file = RESULTS / f"{name}.json"
    if not file.exists():
        return "Not measured yet."
    content = json.loads(file.read_text(encoding="utf-8"))
    return f"{content['machine']}\n\n{report(content)}"


if __name__ == "__main__":
    typer.run(handle_errors(main))
