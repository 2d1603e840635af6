"""Records on the screen: counts, lengths as bars, and a few examples with the masked words in colour."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_bert_scratch import figures
from keras_bert_scratch.commands.tables import console_for_tables, print_results
from keras_bert_scratch.filesystem import name_of, path_of

if TYPE_CHECKING:
    from pathlib import Path

    from keras_bert_scratch.data.google.reader import GoogleRecords
    from keras_bert_scratch.data.pretraining.reader import PretrainingRecords
    from keras_bert_scratch.data.pretraining.rules import ExampleRules
    from keras_bert_scratch.filesystem import AnyPath

EXAMPLES = 3
LENGTH = 64  # of examples that are made from documents
BAR = 40

MASKED, RANDOM, KEPT = "bold white on red", "bold white on magenta", "bold black on yellow"
PAIR_LABELS = {"next": ("B follows A: ", "B is from elsewhere: "), "order": ("A and B in order: ", "A and B swapped: ")}


def show_records(path: AnyPath, picture: Path | None = None) -> None:
    """Prints facts about the records at `path`, ours or Google's, and some of their examples; may draw a `picture`."""
    from keras_bert_scratch.data.google.reader import GoogleRecords, open_records
    from keras_bert_scratch.data.record_sample import rules_to_show

    records = open_records(path)
    facts = _facts(records)
    if isinstance(records, GoogleRecords):
        title, unit, max_length = "Google's examples", "examples", records.size.max_length
    else:
        title, unit, max_length = "documents", "documents", LENGTH
    rules = rules_to_show(records, max_length)
    if not isinstance(records, GoogleRecords):
        packed = records.non_padding_fraction(max_length, rules=dataclasses.replace(rules, packing=True))
        facts[f"non-padding, first rows of {max_length}, packed"] = f"{packed:.1%}"
    unpacked = records.non_padding_fraction(max_length, rules=rules)
    facts[f"non-padding, first rows of {max_length}"] = f"{unpacked:.1%}"
    print_results(f"{path}: {title}, {'un' * records.tokenizer.lowercase}cased", facts)
    _print_histogram(f"lengths of {unit} in tokens, first shard", records.lengths())
    _print_examples(records, max_length, rules)
    if picture is not None:
        from keras_bert_scratch.data.record_pictures import figure_of
        from keras_bert_scratch.data.record_sample import sample_records

        figures.write(figure_of(sample_records(records, max_length), name_of(path)), picture)
        print(f"{path_of(picture)}: written")


def _facts(records: PretrainingRecords | GoogleRecords) -> dict[str, Any]:
    facts: dict[str, Any] = {"vocabulary size": records.vocab_size}
    if records.manifest:
        manifest = records.manifest
        facts["shards"] = len(manifest.shards)
        facts |= {
            what: manifest.total(what) or None for what in ("examples", "documents", "sentences", "tokens", "bytes")
        }
        if facts["tokens"]:
            facts["bytes per token"] = round(facts["bytes"] / facts["tokens"], 3)
        facts |= {what: count for what, count in manifest.text.items() if count}
        facts["written by"] = manifest.written_by
    return facts


def _print_histogram(title: str, lengths: np.ndarray) -> None:
    """Prints a bar per doubling of the length."""
    doublings = np.bincount(np.log2(np.maximum(lengths, 1)).astype(int))
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    for doubling, count in enumerate(doublings.tolist()):
        if doublings[: doubling + 1].any():
            first, last = 2**doubling, 2 ** (doubling + 1) - 1
            table.add_row(f"{first:,} to {last:,}", "█" * -(-BAR * count // int(doublings.max())), f"{count:,}")
    console_for_tables().print(table)


def _print_examples(records: PretrainingRecords | GoogleRecords, max_length: int, rules: ExampleRules) -> None:
    console = Console()
    batch = next(records.batches(EXAMPLES, max_length, rules=rules).as_numpy_iterator())
    pair_labels = PAIR_LABELS.get(rules.pairs)
    legend = Text("examples; masked: " if pair_labels else "examples, without pairs; masked: ")
    coloured = console.color_system is not None and not console.no_color
    if coloured:
        for style, meaning in ((MASKED, " as [MASK] "), (RANDOM, " as a random token "), (KEPT, " as itself ")):
            legend.append(meaning, style)
            legend.append(" ")
    else:
        legend.append("token→what the network sees")
    console.print(legend)
    for row in range(EXAMPLES):
        pair_label = pair_labels[batch[1]["next_sentence"][row]] if pair_labels else ""
        example = _example(batch, row, records.tokenizer.vocabulary.tokens, coloured)
        console.print(Text.assemble((pair_label, "cyan"), example), soft_wrap=False)


def _example(batch: tuple[Any, Any, Any], row: int, tokens: tuple[str, ...], coloured: bool) -> Text:
    """Returns the original words of a row; masked ones are coloured by what the network sees in their place.

    Without colours, it returns the pieces, with arrows from masked ones to what the network sees.
    """
    from keras_bert_scratch.data.record_sample import masked_lm_of

    inputs = batch[0]
    original = {
        int(position): tokens[token]
        for position, token, weight in zip(
            inputs["mask_positions"][row], *(values[row] for values in masked_lm_of(batch)), strict=True
        )
        if weight
    }
    text = Text()
    for position, token in enumerate(_tokens(inputs, row, tokens)):
        before = original.get(position, token)
        if not coloured:
            text.append(f" {before}→{token}" if position in original else f" {token}")
            continue
        text.append("" if before.startswith("##") else " ")
        word = before.removeprefix("##")
        if position not in original:
            text.append(word, "dim" if word.startswith("[") else None)
        elif token == "[MASK]":
            text.append(word, MASKED)
        elif token != before:
            text.append(f"{word}→{token.removeprefix('##')}", RANDOM)
        else:
            text.append(word, KEPT)
    return text


def _tokens(inputs: dict[str, np.ndarray], row: int, tokens: tuple[str, ...]) -> Iterator[str]:
    for token, there in zip(inputs["token_ids"][row], inputs["padding_mask"][row], strict=True):
        if there:
            yield tokens[token]
