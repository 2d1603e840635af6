"""Builds evaluations from given answers and gold labels, without a model."""

import dataclasses

import numpy as np

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.evaluation import Evaluation
from keras_bert_scratch.tasks.examples import Examples

LABELS = ("a", "b", "c")
TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def spec_of(task: str, labels: tuple[str, ...] = LABELS, **options) -> kbs.Spec:
    return kbs.Spec(task, ("text",), 16, labels, options=options)


def scores_of(*values: float) -> dict[str, float]:
    return dict(zip(LABELS, values, strict=False))


def answered(answer: str, gold: list[str], score: float = 0.5) -> dict:
    return {"answer": answer, "score": score, "gold": gold}


def evaluation(task: str, spec: kbs.Spec, decoded: dict, gold: dict, raw: dict, **more) -> Evaluation:
    return Evaluation(dataclasses.replace(spec, task=task), Examples("memory", raw, gold, "", **more), decoded, None)


def classified(scores, gold) -> Evaluation:
    scores = np.array(scores)
    decoded = {"label": np.array([LABELS[n].encode() for n in scores.argmax(1)], object), "scores": scores}
    texts = [f"t{number}" for number in range(len(gold))]
    return evaluation("classification", spec_of("classification"), decoded, {"label": np.array(gold)}, {"text": texts})
