"""MRPC as Microsoft ships it: one training file, from which GLUE holds out the pairs that another file lists."""

from __future__ import annotations

import logging

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.named_table import NamedTable
from keras_bert_scratch.tasks.data.tables import Column, read_table

IDS = ("#1 ID", "#2 ID")

log = logging.getLogger(__name__)


def split_by_ids(
    table: NamedTable, ids: str, on_bad_row: str = "fail"
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    r"""Splits a table into training rows and held-out rows, both as columns in memory by role.

    Args:
        table: labelled pairs, with the columns `#1 ID` and `#2 ID`.
        ids: path of a table with two columns and no header: both ids of each held-out pair.
        on_bad_row: str, default "fail". `"fail"` raises at a bad row, `"skip"` skips and counts it.

    Raises:
        UserError: a table is damaged, or the ids match no row or all rows.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("pairs.txt").write_text("Quality\t#1 ID\t#2 ID\ta\tb\n1\t7\t8\tYes.\tSure.\n0\t3\t4\tNo.\tSo?\n")
        >>> _ = Path("dev_ids.tsv").write_text("3\t4\n")
        >>> table = NamedTable("pairs.txt", {"text": "a", "text_pair": "b", "label": "Quality"})
        >>> split_by_ids(table, "dev_ids.tsv")[1]
        {'text': ['No.'], 'text_pair': ['So?'], 'label': ['0']}
    """
    roles = list(table.header_names)
    columns = [Column(name, kind="label" if name in ("label", *IDS) else "text") for name in (*roles, *IDS)]
    rows = read_table(table, columns, header_names=table.header_names, on_bad_row=on_bad_row)
    for reason, count in rows.skipped.items():
        log.warning("%s: left out %d rows: %s", rows.path, count, reason)
    listed = read_table(NamedTable(ids, names=IDS), [Column(name, kind="label") for name in IDS]).columns
    held_out = set(zip(*listed.values(), strict=True))
    is_held_out = [pair in held_out for pair in zip(*(rows.columns[name] for name in IDS), strict=True)]
    if len(set(is_held_out)) < 2:
        which = "every pair" if all(is_held_out) else "no pair"
        raise UserError(
            f"{ids}: lists {which} of {rows.path}; the two files do not belong together; download both again"
        )

    def part(wanted: bool) -> dict[str, list[str]]:
        return {
            role: [value for value, held in zip(rows.columns[role], is_held_out, strict=True) if held == wanted]
            for role in roles
        }

    return part(False), part(True)
