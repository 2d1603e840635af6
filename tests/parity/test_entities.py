"""Our two ways to read entities from tags, against seqeval's."""

import hypothesis
import hypothesis.strategies as st
import pytest
from seqeval.metrics import sequence_labeling, v1
from seqeval.scheme import IOB2

from keras_bert_scratch.tasks.entities import entities_of, entity_scores, strict_entities_of

TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER", "B-drug-name", "I-drug-name")


@st.composite
def tagged(draw) -> tuple[list[list[str]], list[list[str]]]:
    """True and predicted tags of some sentences."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=4))

    def rows() -> list[list[str]]:
        return [draw(st.lists(st.sampled_from(TAGS), min_size=length, max_size=length)) for length in lengths]

    return rows(), rows()


@pytest.mark.filterwarnings("ignore:.*ill-defined.*")
@pytest.mark.parametrize(
    ("reading", "fscore", "arguments"),
    [
        (entities_of, sequence_labeling.precision_recall_fscore_support, {}),
        (strict_entities_of, v1.precision_recall_fscore_support, {"scheme": IOB2}),
    ],
    ids=["conlleval", "strict"],
)
@hypothesis.given(tagged())
@hypothesis.settings(max_examples=300, deadline=None)
def test_scores_are_seqevals(reading, fscore, arguments, tags):
    true, predicted = tags
    ours, by_type = entity_scores(list(map(reading, true)), list(map(reading, predicted)))
    if not by_type:  # seqeval fails if there is no entity at all
        return
    theirs = fscore(true, predicted, average="micro", zero_division=0, **arguments)
    assert tuple(ours.values()) == pytest.approx(theirs[:3])
    per_type = fscore(true, predicted, average=None, zero_division=0, **arguments)
    for values, row in zip(by_type.values(), zip(*per_type, strict=True), strict=True):
        assert tuple(values.values()) == pytest.approx(row)
