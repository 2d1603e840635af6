"""Question answering: answer positions, the best span over all windows by brute force, the null threshold."""

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from tasks.small_questions import MAX_LENGTH, TASK, one, read

import keras_bert_scratch as kbs

# --- positions of answers


@pytest.mark.parametrize(
    ("context", "text", "pieces"),
    [
        pytest.param("a b c", "b", ["b"], marks=pytest.mark.slow),
        ("a bcd e", "c", ["##c"]),  # within a word
        pytest.param("é b c", "b", ["b"], marks=pytest.mark.slow),
        ("a  b\n c ", " b\n c ", ["b", "c"]),  # outer blanks and line feeds
        pytest.param("abc", "abc", ["a", "##b", "##c"], marks=pytest.mark.slow),
        pytest.param("x " * 14 + "y z", "y z", ["y", "z"], marks=pytest.mark.slow),
        pytest.param("x " * 40 + "y z", "y z", ["y", "z"], marks=pytest.mark.slow),
        ("x " * 18 + "y z", "y z", ["y", "z"]),  # the first window holds only its beginning
    ],
)
def test_the_pieces_of_an_answer_are_learnt(letters, context, text, pieces):
    spec, examples = read(one(context, text, context.index(text)))
    data = kbs.TaskData(TASK, spec, examples, letters)
    spans = []
    for x, y in data.evaluation_batches(8):
        for row, start, end in zip(x["token_ids"].numpy(), y["start"].numpy(), y["end"].numpy(), strict=True):
            spans += [[letters.vocabulary.tokens[token] for token in row[start : end + 1]]]
    # A window without the answer points at [CLS].
    assert {tuple(span) for span in spans} <= {("[CLS]",), tuple(pieces)}
    assert tuple(pieces) in {tuple(span) for span in spans}


def test_the_question_is_a_and_the_passage_is_b(letters):
    """Devlin et al. 2019, section 3.2: as the sentence pairs of pretraining."""
    spec, examples = read({"question": ["a b"], "context": ["c de"], "answers": [[{"text": "c", "answer_start": 0}]]})
    x, _ = next(iter(kbs.TaskData(TASK, spec, examples, letters).evaluation_batches(1)))
    ids, segments = (x[name].numpy()[0, :8].tolist() for name in ("token_ids", "segment_ids"))
    assert " ".join(letters.vocabulary.tokens[number] for number in ids) == "[CLS] a b [SEP] c d ##e [SEP]"
    assert segments == [0] * 4 + [1] * 4


def test_no_answer_is_the_first_position(letters):
    spec, examples = read({"question": ["a"], "context": ["b c"], "answers": [[]]})
    assert spec.options["unanswerable"]
    _, y = next(iter(kbs.TaskData(TASK, spec, examples, letters).evaluation_batches(1)))
    assert (y["start"].numpy().tolist(), y["end"].numpy().tolist()) == ([0], [0])


def test_no_window_is_longer_than_a_row(letters):
    spec, examples = read(one("a b c " * 30, "a", 0))
    data = kbs.TaskData(TASK, spec, examples, letters)
    rows = [row for x, _ in data.evaluation_batches(4) for row in x["token_ids"].numpy()]
    assert len(rows) == len(data) == 6  # 90 pieces in windows of 19, of which neighbours share 4
    assert max(map(np.count_nonzero, rows)) <= MAX_LENGTH


# --- the best span, by brute force


def brute_force(spec, letters, context, logits, question_length):
    """The best span that starts in its best window and is short enough: (score, text), and the null score."""
    pieces, starts, limits = (row.to_list()[0] for row in letters.tokenize_with_offsets([context]))
    room = spec.max_length - 3 - question_length
    overlap = min(spec.options["overlap"], room // 2)
    begins = [0]
    while begins[-1] + room < len(pieces):
        begins.append(begins[-1] + room - overlap)
    found = []
    for window, begin in enumerate(begins):
        held = range(begin, min(begin + room, len(pieces)))
        at = question_length + 2 - begin
        # Each of two windows owns half of the positions that they share.
        own = [
            first
            for first in held
            if (window == 0 or first >= begin + overlap // 2)
            and (window == len(begins) - 1 or first < begins[window + 1] + overlap // 2)
        ]
        for first in own:
            for last in held[first - begin : first - begin + spec.options["max_answer_length"]]:
                score = logits["start"][window][first + at] + logits["end"][window][last + at]
                found.append((score, context.encode()[starts[first] : limits[last]].decode()))
    null = min(logits["start"][window][0] + logits["end"][window][0] for window in range(len(begins)))
    return max(found), null


def answer_of(spec, decoded) -> dict:
    """The first row's answer."""
    return TASK.answer(spec, {name: value.numpy().tolist()[0] for name, value in decoded.items()})


@pytest.mark.parametrize("context", ["a b c", "d e f gh i " * 6, "é b", "k " * 100])
@pytest.mark.parametrize("seed", slow_but([1], [0, 1]))
def test_the_best_span_is_found(letters, context, seed):
    spec, _ = read(one(context, context[:1], 0))
    raw = {"question": tf.constant(["zz", "abcdef"]), "context": tf.constant(["x y", context])}
    features = TASK.features(spec, letters, raw)
    windows, length = features.inputs["token_ids"].shape
    draws = np.random.default_rng(seed)
    logits = {name: draws.normal(size=(windows, length)).astype("float32") * 3 for name in ("start", "end")}
    decoded = TASK.decode(spec, logits, features)
    own = {name: values[-int(features.windows[1]) :] for name, values in logits.items()}
    (score, text), null = brute_force(spec, letters, context, own, 4)
    assert decoded["answer"].numpy()[1].decode() == text
    assert float(decoded["null_odds"][1]) == pytest.approx(null - score, abs=1e-4)
    start, end = int(decoded["start"][1]), int(decoded["end"][1])
    assert context[start:end] == text


def test_no_answer_where_the_odds_are_for_it(letters):
    spec, _ = read({"question": ["a"], "context": ["b"], "answers": [[]]})
    features = TASK.features(spec, letters, {"question": tf.constant(["a"]), "context": tf.constant(["b c"])})
    for null, expected in ((5.0, ""), (-5.0, "b")):
        start = tf.constant([[null, 0.0, 0.0, 2.0, 0.0, 0.0]])
        answer = answer_of(spec, TASK.decode(spec, {"start": start, "end": start}, features))
        assert answer["answer"].decode() == expected
        assert answer["n_best"][0]["answer"] == b"b"
        assert answer["null_odds"] == pytest.approx(2 * null - 4)


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("le fe\u0301 noir", "fe\u0301"),
        ("a \u0939\u093f\u0928\u094d\u0926\u0941 b", "\u0939\u093f\u0928\u094d\u0926\u0941"),
        ("a xo\u0323\u0302", "xo\u0323\u0302"),
        ("a b\u200bc d", "b\u200bc"),
        ("a b\u200b", "b"),
        ("a b\ufeff c", "b"),
    ],
)
def test_an_answer_keeps_the_marks_that_no_piece_has(letters, context, answer):
    spec, examples = read(one(context, answer, context.index(answer)))
    features = TASK.features(spec, letters, {name: tf.constant(values) for name, values in examples.raw.items()})
    right, _ = TASK.targets(spec, features, examples.gold, training=True)
    length = features.inputs["token_ids"].shape[1]
    logits = {name: tf.one_hot(right[name], length) * 9.0 for name in ("start", "end")}
    decoded = TASK.decode(spec, logits, features)
    assert decoded["answer"].numpy()[0].decode() == answer
    assert context[int(decoded["start"][0]) : int(decoded["end"][0])] == answer


def test_a_passage_without_pieces_has_no_answer(letters):
    spec, _ = read(one("a", "a", 0))
    features = TASK.features(spec, letters, {"question": tf.constant(["a"]), "context": tf.constant([""])})
    zeros = tf.zeros(features.inputs["token_ids"].shape)
    answer = answer_of(spec, TASK.decode(spec, {"start": zeros, "end": zeros}, features))
    assert (answer["answer"], answer["start"], answer["end"], answer["n_best"]) == (b"", 0, 0, [])
    assert answer["score"] == 0.0


# --- the null threshold

ODDS, BEST, ANSWERS = [-3.0, -1.0, -1.0, 2.0, 5.0], ["x", "y", "", "z", "v"], [["x"], ["y"], [], ["z"], []]


def test_an_open_threshold_is_settled_on_held_out_data():
    decoded = {
        "answer": np.array([b"x", b"y", b"", b"", b""]),  # at threshold 0
        "answers": np.array([[text.encode()] for text in BEST]),
        "null_odds": np.array(ODDS),
    }
    gold = {"answers": ANSWERS}
    spec = kbs.Spec("qa", ("question", "context"), 64, options={"unanswerable": True, "null_threshold": None})
    results = TASK.score(spec, decoded, gold)
    assert (results["null_threshold"], results["f1"], results["f1_at_0"], results["best_f1"]) == (3.5, 100, 80, 100)
    resolved = TASK.resolve_options(spec, results)
    assert resolved.options["null_threshold"] == 3.5
    decoded["answer"][3] = b"z"  # as `decode` answers with this threshold
    again = TASK.score(resolved, decoded, gold)
    assert again == {name: value for name, value in results.items() if not name.endswith("_at_0")}
    assert TASK.resolve_options(spec, {"f1": 1.0}).options["null_threshold"] == 0.0
    assert TASK.resolve_options(resolved, {"null_threshold": 9.0}) == resolved  # a threshold that is set is kept


SOME = "the heron and the otter "


@pytest.mark.usefixtures("eagerly")
def test_a_run_tells_what_became_of_its_answers_and_answers_by_its_threshold(small, tokenizer, caplog):
    """Six answers: learnt, too long to be predicted, longer than a window, without pieces, none, not in the context."""
    contexts = [SOME * 4, SOME, SOME * 4, SOME + "\u200b", SOME, SOME]
    given = [("heron", 4), ("heron and the otter", 4), (SOME * 3, 0), ("\u200b", 24), None, ("lake", 3)]
    data = {
        "question": ["which"] * 6,
        "context": contexts,
        "answers": [[{"text": answer[0], "answer_start": answer[1]}] if answer else [] for answer in given],
    }
    options = {"max_question_length": 1, "overlap": 2, "max_answer_length": 3}
    how = kbs.FineTuning(epochs=1, batch_size=4, max_length=20)
    with caplog.at_level("WARNING"):
        run = kbs.finetune(
            "qa", small, data, "run", data, how, task_options=options, on_bad_row="skip", tokenizer=tokenizer
        )
    counted = run.results["training_answers"]
    assert run.results["skipped_rows"] == {"answer not in its context": 1}
    names = ("questions", "without_answer", "learnt", "in_no_window", "without_pieces", "too_long")
    assert [counted[name] for name in names] == [5, 1, 2, 1, 1, 1]
    pieces = tokenizer.tokenize(contexts[:5]).row_lengths().numpy()
    windows = sum(1 + max(0, -(-(number - 16) // 14)) for number in pieces.tolist())
    assert (counted["windows"], counted["windows_at_cls"]) == (windows, windows - 2)
    said = [message for message in caplog.messages if "answers are learnt" in message]
    assert said == [
        "columns in memory: 2 of 4 answers are learnt (1 longer than 3 pieces, so never predicted), 1 are not complete "
        f"in any window, 1 have no pieces; {windows - 2} of {windows} windows point at [CLS]"
    ]
    stored = kbs.Spec.load("run").options["null_threshold"]
    assert stored == run.results["dev"]["null_threshold"] == kbs.Spec.load("run/best").options["null_threshold"]
    again = kbs.evaluate("run", data, on_bad_row="skip")
    assert again == {name: value for name, value in run.results["dev"].items() if not name.endswith("_at_0")}
