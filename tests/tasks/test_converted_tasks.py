"""Fine-tuned models in other projects' formats evaluate to the same results as in our own format."""

import dataclasses
from pathlib import Path

import keras
import pytest
from fast_and_slow import slow_but
from tasks.answers import check_same
from tasks.test_tasks import table

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.tasks.registry import get_task

# The tasks whose head exists in Google's scripts, too.
GOOGLE = ("classification", "regression", "multi-label", "qa")
TASKS = (*GOOGLE, "pair-classification", "ner", "choice")

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def tuned(small, tokenizer, sentences):
    """A function that saves a model of a task in the folder `ours` and returns rows to evaluate it on."""

    def make(task: str) -> dict[str, list]:
        found = get_task(task)
        rows = table(task, sentences[3:9])  # about both animals
        spec = kbs.Spec(task, (), 48, options=dataclasses.asdict(found.Options()) | {"max_question_length": 16})
        spec, _ = found.read(rows, spec)
        keras.utils.set_random_seed(4)
        # Google's GELU, and weights so large that answers differ.
        config = small.replace(activation="gelu_tanh", initializer_range=1.0, max_position_embeddings=128)
        model = found.model_class(kbs.BertBackbone(config), **found.model_arguments(spec))
        kbs.FineTuned(model, tokenizer, spec).save("ours")
        return rows

    return make


@pytest.mark.parametrize("task", slow_but(["qa"], GOOGLE))
def test_in_googles_format(tuned, task):
    rows = tuned(task)
    write_checkpoint(read_checkpoint("ours"), "theirs", "google")
    check_same(kbs.evaluate("theirs", rows), kbs.evaluate("ours", rows))


@pytest.mark.parametrize("task", slow_but(["ner"], TASKS))
def test_in_hugging_faces_format(tuned, task):
    """Also without our `task.json`: the format's own files hold labels, head and problem type."""
    rows = tuned(task)
    expected = kbs.evaluate("ours", rows)
    write_checkpoint(read_checkpoint("ours"), "theirs", "huggingface")
    check_same(kbs.evaluate("theirs", rows), expected)
    Path("theirs/task.json").unlink()
    asked = task if task == "pair-classification" else None
    check_same(kbs.evaluate("theirs", rows, task=asked), expected)


def test_a_format_without_heads_holds_no_fine_tuned_model(tuned):
    rows = tuned("classification")
    write_checkpoint(read_checkpoint("ours"), "theirs", "keras_hub")
    with pytest.raises(kbs.UserError, match="theirs: holds a BertBackbone, which has no head for classification"):
        kbs.evaluate("theirs", rows, task="classification")


def test_the_data_tell_whether_a_question_may_lack_an_answer(tuned, sentences):
    """Hugging Face's files do not say: data with unanswerable questions are scored by the rules of SQuAD 2.0."""
    rows = tuned("qa")
    write_checkpoint(read_checkpoint("ours"), "theirs", "huggingface")
    Path("theirs/task.json").unlink()
    assert "has_answer_f1" not in kbs.evaluate("theirs", rows)
    rows["answers"][0] = []
    results = kbs.evaluate("theirs", rows)
    assert {"has_answer_f1", "no_answer_f1", "best_f1_threshold"} <= set(results)
    # Scored with the answers of `predict`: no threshold is tuned on the evaluation data.
    assert (results["null_threshold"], "f1_at_0" in results) == (0.0, False)
    with pytest.raises(kbs.UserError, match="row 1 has no answer, but every training question had one"):
        kbs.evaluate("ours", rows)
