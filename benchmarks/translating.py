"""Sentences per second in translation: ours, and transformers' `EncoderDecoderModel.generate`.

    python benchmarks/translating.py RUN shared/data/multi30k/val.de [--texts 500] [--rounds 3] [--beams 1,4]

Both have the weights of RUN, a fine-tuned translator, and the same maximum number of tokens. Ours is
`FineTuned.predict`, from strings to strings; so is transformers, with our tokenizer, the texts sorted by length, at
three batch sizes. They take turns in every round, and the best round counts.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
import transformers
import typer
from finetuning import compare

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.tasks.data.decoding_loop import FORBIDDEN_TOKENS

BATCHES = (16, 64, 256)


def main(
    run: Annotated[Path, typer.Argument(help="A fine-tuned translator.")],
    source: Annotated[Path, typer.Argument(help="File with one text per line.")],
    texts: Annotated[int, typer.Option(help="Number of texts to translate.")] = 500,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 3,
    beams: Annotated[str, typer.Option(help="Beam widths, separated by commas.")] = "1,4",
) -> None:
    """Prints sentences per second, and ours as a multiple of the others."""
    raw = source.read_text().splitlines()[:texts]
    ours, narrow = kbs.FineTuned.load(run, "float32"), kbs.FineTuned.load(run, "bfloat16")
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(read_checkpoint(run), Path(folder) / "theirs", "huggingface")
        theirs = transformers.EncoderDecoderModel.from_pretrained(Path(folder) / "theirs").eval()
    for width in map(int, beams.split(",")):
        sides = {
            "ours, float32": _ours(ours.with_prediction_options(beams=width)),
            "ours, bfloat16": _ours(narrow.with_prediction_options(beams=width)),
            **{f"transformers, {size}": _theirs(theirs, ours, width, size) for size in BATCHES},
        }
        expected = sides["ours, float32"](raw)
        for name, side in sides.items():
            same = sum(one == other for one, other in zip(side(raw), expected, strict=True)) / len(raw)
            print(f"{name}: {same:.1%} of {len(raw)} translations equal ours")
        compare(f"translated, {width} beams", sides, lambda number: raw, rounds, len(raw))


def _ours(asked: kbs.FineTuned) -> Any:
    return lambda texts: [row["translation"] for row in asked.predict({"source": texts})]


def _theirs(model: Any, ours: kbs.FineTuned, width: int, size: int) -> Any:
    vocabulary, target = ours.tokenizer.vocabulary, ours.tokenizer.target

    def translations(texts: list[str]) -> list[str]:
        ids = [[vocabulary.cls_id, *row, vocabulary.sep_id] for row in ours.tokenizer.tokenize(texts).to_list()]
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        written: dict[int, list[int]] = {}
        for start in range(0, len(order), size):
            numbers = order[start : start + size]
            longest = len(ids[numbers[-1]])
            rows = torch.tensor([ids[n] + [vocabulary.pad_id] * (longest - len(ids[n])) for n in numbers])
            with torch.inference_mode():
                found = model.generate(
                    rows,
                    attention_mask=(rows != vocabulary.pad_id).long(),
                    num_beams=width,
                    do_sample=False,
                    length_penalty=ours.spec.options["length_penalty"],
                    max_length=ours.spec.max_length,
                    suppress_tokens=[target.vocabulary.id(token) for token in FORBIDDEN_TOKENS],
                    decoder_start_token_id=target.vocabulary.cls_id,
                    eos_token_id=target.vocabulary.sep_id,
                    pad_token_id=target.vocabulary.pad_id,
                )
            for number, row in zip(numbers, found.tolist(), strict=True):
                rest = row[1:]
                end = rest.index(target.vocabulary.sep_id) if target.vocabulary.sep_id in rest else len(rest)
                written[number] = rest[:end]
        texts_of = target.detokenize([written[number] for number in range(len(texts))]).numpy()
        return [text.decode() for text in texts_of]

    return translations


if __name__ == "__main__":
    typer.run(main)
