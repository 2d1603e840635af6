"""The other side of `task_scores.py`: the tasks with transformers on torch.

The batches are those of our side, so that both see the same examples in the same order. Where the libraries' own
recipes differ (order, windows), this follows transformers' examples: tags on first tokens, sentences truncated at the
row's length; overlapping windows of a passage, the answer's positions by offsets, the best valid pair of the 20 most
probable starts and ends.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np
import torch
import transformers

from keras_bert_scratch.tasks.data.length_bucketing import bucketed_batches
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.spec import Spec

NUM_BEST, MAX_ANSWER_LENGTH = 20, 30
IGNORED = -100


def answers_of(recipe: Any, data: Any, seed: int) -> dict[str, Any]:
    """Trains with a seed, and answers the dev set."""
    from task_scores import MINILM

    torch.manual_seed(seed)
    task = get_task(recipe.task)
    options = {**vars(task.Options()), **recipe.options}
    spec = Spec(recipe.task, (), recipe.max_length, header_names=recipe.names, options=options)
    spec, train = task.read(data / recipe.train, spec)
    _, dev = task.read(data / recipe.dev, spec)
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    side = {"ner": Tags, "qa": Spans, "regression": Scores}.get(recipe.task, Labels)(tokenizer, recipe, spec)
    model = side.model_class.from_pretrained(MINILM, **side.arguments)
    rows = side.rows(train, training=True)
    start = time.perf_counter()
    _train(model, rows, tokenizer, recipe, seed)
    seconds = time.perf_counter() - start
    model.eval()
    return {"seconds": round(seconds), "gold": side.gold(dev), "given": side.answer(model, dev)}


def _train(model: Any, rows: list[dict[str, Any]], tokenizer: Any, recipe: Any, seed: int) -> None:
    steps = max(1, round(recipe.epochs * len(rows) / recipe.batch_size))
    plain = [p for n, p in model.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    decayed = [p for n, p in model.named_parameters() if not (n.endswith("bias") or "LayerNorm" in n)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, eps=1e-6)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(0.1 * steps), steps)
    lengths = np.array([len(row["input_ids"]) for row in rows])
    model.train()
    for _, numbers in zip(range(steps), bucketed_batches(lengths, recipe.batch_size, seed), strict=False):
        loss = model(**_padded([rows[number] for number in numbers], tokenizer)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def _padded(rows: list[dict[str, Any]], tokenizer: Any) -> dict[str, torch.Tensor]:
    longest = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": tokenizer.pad_token_id, "labels": IGNORED}
    batch = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if isinstance(values[0], list):
            values = [value + [fill.get(name, 0)] * (longest - len(value)) for value in values]
        batch[name] = torch.tensor(values)
    return batch


def _outputs(model: Any, rows: list[dict[str, Any]], tokenizer: Any) -> list[Any]:
    """Returns the model's outputs for each row, in order."""
    found: list[Any] = [None] * len(rows)
    order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
    with torch.inference_mode():
        for start in range(0, len(rows), 64):
            some = order[start : start + 64]
            inputs = [{name: value for name, value in rows[n].items() if name in INPUTS} for n in some]
            outputs = model(**_padded(inputs, tokenizer))
            for place, number in enumerate(some):
                found[number] = {name: value[place].numpy() for name, value in outputs.items()}
    return found


INPUTS = ("input_ids", "token_type_ids", "attention_mask")


class Side:
    """A task: its rows, its model, its answers."""

    model_class: Any

    def __init__(self, tokenizer: Any, recipe: Any, spec: Any) -> None:
        self.tokenizer, self.recipe, self.spec = tokenizer, recipe, spec

    @property
    def arguments(self) -> dict[str, Any]:
        """Further arguments of the model."""
        return {"num_labels": len(self.spec.labels)}


class Labels(Side):
    """A label for a text or a pair."""

    model_class = transformers.BertForSequenceClassification

    def rows(self, examples: Any, training: bool) -> list[dict[str, Any]]:
        """Returns rows as the model takes them."""
        columns = [list(examples.raw[name]) for name in self.spec.columns]
        found = self.tokenizer(*columns, truncation=True, max_length=self.recipe.max_length)
        rows = [{name: found[name][number] for name in INPUTS} for number in range(len(columns[0]))]
        if training:
            for row, label in zip(rows, self.numbers(examples), strict=True):
                row["labels"] = label
        return rows

    def numbers(self, examples: Any) -> list[Any]:
        """Returns the right answers, as the model takes them."""
        return examples.gold["label"].tolist()

    def gold(self, examples: Any) -> list[Any]:
        """Returns the right answers."""
        return [self.spec.labels[label] for label in examples.gold["label"]]

    def answer(self, model: Any, examples: Any) -> list[Any]:
        """Returns the model's answers."""
        outputs = _outputs(model, self.rows(examples, training=False), self.tokenizer)
        return [self.spec.labels[int(row["logits"].argmax())] for row in outputs]


class Scores(Labels):
    """A score for a text or a pair."""

    arguments: ClassVar[dict[str, Any]] = {"num_labels": 1, "problem_type": "regression"}

    def numbers(self, examples: Any) -> list[Any]:
        return [float(score) for score in examples.gold["score"]]

    def gold(self, examples: Any) -> list[Any]:
        return self.numbers(examples)

    def answer(self, model: Any, examples: Any) -> list[Any]:
        outputs = _outputs(model, self.rows(examples, training=False), self.tokenizer)
        return [float(row["logits"][0]) for row in outputs]


class Tags(Side):
    """A tag for each word, at its first token; words beyond the row's length are tagged `O`."""

    model_class = transformers.BertForTokenClassification

    def rows(self, examples: Any, training: bool) -> list[dict[str, Any]]:
        """Returns rows with the tags of first tokens, or, to answer, with the words of first tokens."""
        words = [list(row) for row in examples.raw["words"]]
        found = self.tokenizer(words, is_split_into_words=True, truncation=True, max_length=self.recipe.max_length)
        rows = []
        for number, tags in enumerate(examples.gold["tags"]):
            row = {name: found[name][number] for name in INPUTS}
            of_word = found.word_ids(number)
            firsts = [
                word if word is not None and (at == 0 or of_word[at - 1] != word) else None
                for at, word in enumerate(of_word)
            ]
            if training:
                row["labels"] = [IGNORED if word is None else int(tags[word]) for word in firsts]
            else:
                row["firsts"] = firsts
            rows.append(row)
        return rows

    def gold(self, examples: Any) -> list[Any]:
        """Returns the tags of each sentence."""
        return [[self.spec.labels[tag] for tag in row] for row in examples.gold["tags"]]

    def answer(self, model: Any, examples: Any) -> list[Any]:
        """Returns the tags that the model predicts."""
        rows = self.rows(examples, training=False)
        given = []
        for row, words, output in zip(rows, examples.raw["words"], _outputs(model, rows, self.tokenizer), strict=True):
            tags = ["O"] * len(words)
            for word, tag in zip(row["firsts"], output["logits"].argmax(-1), strict=False):
                if word is not None:
                    tags[word] = self.spec.labels[int(tag)]
            given.append(tags)
        return given


class Spans(Side):
    """A span of a passage."""

    model_class = transformers.BertForQuestionAnswering
    arguments: ClassVar[dict[str, Any]] = {}

    def rows(self, examples: Any, training: bool) -> list[dict[str, Any]]:
        """Returns a row for each window: for training with the answer's positions, else with offsets."""
        questions, contexts = (list(examples.raw[name]) for name in ("question", "context"))
        found = self.tokenizer(
            [question.lstrip() for question in questions],
            contexts,
            truncation="only_second",
            max_length=self.recipe.max_length,
            stride=self.recipe.options["overlap"],
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        rows = []
        for number, question in enumerate(found["overflow_to_sample_mapping"]):
            row = {name: found[name][number] for name in INPUTS}
            in_passage = [sequence == 1 for sequence in found.sequence_ids(number)]
            offsets = found["offset_mapping"][number]
            if training:
                encoded = contexts[question].encode()
                start, limit = (int(examples.gold[name][question]) for name in ("start", "limit"))
                first, last = len(encoded[:start].decode()), len(encoded[:limit].decode())
                inside = [at for at, there in enumerate(in_passage) if there]
                held = offsets[inside[0]][0] <= first and offsets[inside[-1]][1] >= last
                begun = [at for at in inside if offsets[at][0] <= first]
                ended = [at for at in inside if offsets[at][1] >= last]
                row["start_positions"] = begun[-1] if held else 0
                row["end_positions"] = ended[0] if held else 0
            else:
                row |= {"question": question, "in_passage": in_passage, "offsets": offsets}
            rows.append(row)
        return rows

    def gold(self, examples: Any) -> list[Any]:
        """Returns the answers that count as right."""
        return list(examples.gold["answers"])

    def answer(self, model: Any, examples: Any) -> list[Any]:
        """Returns the best span of each question."""
        rows = self.rows(examples, training=False)
        best = [(-np.inf, "")] * len(examples)
        for row, output in zip(rows, _outputs(model, rows, self.tokenizer), strict=True):
            starts, ends = output["start_logits"], output["end_logits"]
            context = examples.raw["context"][row["question"]]
            inside = np.flatnonzero(row["in_passage"])
            for first in sorted(inside, key=lambda at: -starts[at])[:NUM_BEST]:
                for last in sorted(inside, key=lambda at: -ends[at])[:NUM_BEST]:
                    if (
                        first <= last < first + MAX_ANSWER_LENGTH
                        and starts[first] + ends[last] > best[row["question"]][0]
                    ):
                        text = context[row["offsets"][first][0] : row["offsets"][last][1]]
                        best[row["question"]] = (starts[first] + ends[last], text)
        return [text for _, text in best]
