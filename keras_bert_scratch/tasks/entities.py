"""Entities of tagged words: reading tags in any scheme, and the official scores.

A tag is `O`, or a prefix, a hyphen and a type: `B-` begins an entity, `I-` is inside one, `E-` and `L-` end it, `S-`
and `U-` mark an entity of a single word.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"
BEGINS, ENDS, PREFIXES = "BSU", "ELSU", "BIELSU"


class Entity(NamedTuple):
    """An entity of a sentence.

    Args:
        type: str.
        first, last: int. The indices of its first and its last word, from 0.
    """

    type: str
    first: int
    last: int


def is_tag(tag: str) -> bool:
    """Whether a string is a valid tag.

    Example:
        >>> [is_tag(tag) for tag in ("O", "B-drug-name", "LOC", "I-", "X-LOC")]
        [True, True, False, False, False]
    """
    return tag == OUTSIDE or (len(tag) > 2 and tag[1] == "-" and tag[0] in PREFIXES)


def entities_of(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence as `conlleval` reads them: an inside tag without a begin tag starts one.

    This reads IOB1, IOB2, BIOES and BILOU: in each of them, an entity ends where the type changes, the next entity
    begins, or a tag marks the end.

    Args:
        tags: str per word.

    Example:
        >>> entities_of(["I-LOC", "B-LOC", "O", "I-PER", "I-PER"])
        [Entity(type='LOC', first=0, last=0), Entity(type='LOC', first=1, last=1), Entity(type='PER', first=3, last=4)]
    """
    found: list[Entity] = []
    before, open_type = OUTSIDE, ""
    for word, tag in enumerate(tags):
        prefix, type_ = (tag[0], tag[2:]) if tag != OUTSIDE else (OUTSIDE, "")
        continues = type_ and type_ == open_type and prefix not in BEGINS and before not in ENDS
        if continues:
            found[-1] = found[-1]._replace(last=word)
        elif type_:
            found.append(Entity(type_, word, word))
        before, open_type = prefix, type_
    return found


def strict_entities_of(tags: Sequence[str]) -> list[Entity]:
    """The entities of one sentence in strict IOB2: an entity must begin with `B-`.

    Args:
        tags: str per word, `O`, `B-` and `I-` tags.

    Example:
        >>> strict_entities_of(["I-LOC", "B-LOC", "I-PER"])
        [Entity(type='LOC', first=1, last=1)]
    """
    found: list[Entity] = []
    open_type = ""
    for word, tag in enumerate(tags):
        if tag[0] == "B":
            found.append(Entity(tag[2:], word, word))
            open_type = tag[2:]
        elif tag[0] == "I" and open_type and tag[2:] == open_type:
            found[-1] = found[-1]._replace(last=word)
        else:
            open_type = ""
    return found


def iob2_tags(entities: Iterable[Entity], num_words: int) -> list[str]:
    """The tags of a sentence in IOB2.

    Example:
        >>> iob2_tags([Entity("LOC", 1, 2)], 4)
        ['O', 'B-LOC', 'I-LOC', 'O']
    """
    tags = [OUTSIDE] * num_words
    for entity in entities:
        for word in range(entity.first, entity.last + 1):
            tags[word] = f"{'B' if word == entity.first else 'I'}-{entity.type}"
    return tags


def entity_scores(
    true: Sequence[Sequence[Entity]], predicted: Sequence[Sequence[Entity]]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Precision, recall and F1 over all sentences, and for each type with its number of true entities.

    An entity is correct if its type, first word and last word are; entities are compared within a sentence only.
    An undefined value (no predicted or no true entity) is 0, as in `conlleval` and seqeval.

    Args:
        true, predicted: the entities of each sentence.

    Example:
        >>> there = [[Entity("LOC", 0, 0), Entity("PER", 2, 3)], []]
        >>> scores, by_type = entity_scores(there, [[Entity("LOC", 0, 0)], [Entity("LOC", 1, 1)]])
        >>> scores["precision"], scores["recall"], by_type["PER"]["support"]
        (0.5, 0.5, 1)
    """
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0, 0])  # correct, predicted, true
    for here, given in zip(true, predicted, strict=True):
        for column, entities in ((0, set(here) & set(given)), (1, given), (2, here)):
            for entity in entities:
                counts[entity.type][column] += 1
    total = [sum(column) for column in zip([0, 0, 0], *counts.values(), strict=True)]
    by_type = {type_: {**_ratios(*counts[type_]), "support": counts[type_][2]} for type_ in sorted(counts)}
    return _ratios(*total), by_type


def _ratios(right: int, predicted: int, there: int) -> dict[str, float]:
    return {
        "precision": right / predicted if predicted else 0.0,
        "recall": right / there if there else 0.0,
        "f1": 2 * right / (predicted + there) if right else 0.0,
    }


def types_of(sentences: Iterable[Sequence[Entity]]) -> list[str]:
    """All entity types, sorted."""
    return sorted({entity.type for entity in itertools.chain.from_iterable(sentences)})
