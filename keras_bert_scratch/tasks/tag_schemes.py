"""Tag schemes of a model's labels: which IOB2 tags they stand for, and how sentences are written with them.

Models of other programs were trained on IOB1, BIOES or BILOU. Their answers and their scores are in IOB2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keras_bert_scratch.tasks.entities import OUTSIDE, Entity

# The prefixes for a word of an entity: those of BIOES and BILOU first, then those of IOB2, then what is left.
SINGLE, FIRST, INSIDE, LAST = "SUBIEL", "BISUEL", "IBELSU", "ELIBSU"


def is_iob2(labels: Sequence[str]) -> bool:
    """Whether labels are IOB2 tags: only `O`, `B-` and `I-`, and every type has its `B-`.

    IOB1 needs `B-` only between adjacent entities of one type, so in practice some types never have it.

    Example:
        >>> is_iob2(("O", "B-LOC", "I-LOC")), is_iob2(("O", "I-LOC")), is_iob2(("O", "B-LOC", "E-LOC", "S-LOC"))
        (True, False, False)
    """
    return _has_only_b_and_i(labels) and all(f"B-{type_}" in labels for type_ in label_types(labels))


def iob2_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """All IOB2 tags of the types of `labels`; `labels` in their own order if they are just these.

    Example:
        >>> iob2_labels(("O", "I-LOC")), iob2_labels(("I-LOC", "B-LOC", "O"))
        (('O', 'B-LOC', 'I-LOC'), ('I-LOC', 'B-LOC', 'O'))
    """
    tags = (OUTSIDE, *(f"{prefix}-{type_}" for type_ in label_types(labels) for prefix in "BI"))
    return tuple(labels) if set(labels) == set(tags) else tags


def label_types(labels: Iterable[str]) -> list[str]:
    """The entity types of labels, sorted."""
    return sorted({label[2:] for label in labels if label != OUTSIDE})


def tags_in_scheme(entities: Sequence[Entity], num_words: int, labels: Sequence[str]) -> list[str]:
    """The tags of a sentence in the scheme of `labels`, as a model with these labels should predict them.

    Where the labels lack the tag that a word should have, it gets the next best one of its type.

    Args:
        entities: in the order of the sentence.
        num_words: int.
        labels: str per class.

    Example:
        >>> tags_in_scheme([Entity("LOC", 0, 0), Entity("LOC", 1, 2)], 4, ("O", "B-LOC", "E-LOC", "S-LOC"))
        ['S-LOC', 'B-LOC', 'E-LOC', 'O']
        >>> tags_in_scheme([Entity("LOC", 0, 0), Entity("LOC", 1, 2)], 4, ("O", "I-PER", "B-LOC", "I-LOC"))
        ['I-LOC', 'B-LOC', 'I-LOC', 'O']
    """
    is_iob1 = _has_only_b_and_i(labels) and not is_iob2(labels)
    tags = [OUTSIDE] * num_words
    for entity in entities:
        for word in range(entity.first, entity.last + 1):
            if word > entity.first:
                prefixes = LAST if word == entity.last else INSIDE
            elif is_iob1:
                follows = word > 0 and tags[word - 1][2:] == entity.type
                prefixes = FIRST if follows else INSIDE
            else:
                prefixes = SINGLE if word == entity.last else FIRST
            tags[word] = next(tag for prefix in prefixes if (tag := f"{prefix}-{entity.type}") in labels)
    return tags


def _has_only_b_and_i(labels: Iterable[str]) -> bool:
    return all(label == OUTSIDE or label[0] in "BI" for label in labels)
