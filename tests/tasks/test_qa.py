"""Questions: the official scores, where answers lie, and the best span over all windows by brute force."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.answer_scores import (
    answer_scores,
    answer_scores_with_none,
    best_threshold,
    tuned_threshold,
)
from keras_bert_scratch.tasks.registry import get_task

TASK = get_task("qa")
OPTIONS = {"overlap": 4, "max_question_length": 4, "max_answer_length": 3, "null_threshold": 0.0}
MAX_LENGTH = 23  # leaves 16 pieces of a passage


def read(source, on_bad_row="fail", **options):
    return TASK.read(source, kbs.Spec("qa", (), MAX_LENGTH, options={**OPTIONS, **options}), on_bad_row)


def one(context: str, text: str, start: int) -> dict:
    return {"question": ["a"], "context": [context], "answers": [[{"text": text, "answer_start": start}]]}


# --- the published scripts' scores


@pytest.mark.parametrize(
    ("given", "true", "v1", "v2"),
    [
        ("The", "a", (100, 0), (100, 100)),
        ("U.S.", "US", (100, 100), (100, 100)),
        ("well-known", "well known", (0, 0), (0, 0)),
        ("the Otter!", "otter", (100, 100), (100, 100)),
        ("otter", "the otter of Rome", (0, 50), (0, 50)),
        ("a a b", "a b b", (0, 200 / 3), (0, 200 / 3)),
        ("", "otter", (0, 0), (0, 0)),
        ("otter\u00a0\u2009heron", "otter heron", (100, 100), (100, 100)),
        ("“otter”", "otter", (0, 0), (0, 0)),
    ],
)
def test_official_scores(given, true, v1, v2):
    assert tuple(answer_scores([given], [[true]]).values()) == pytest.approx(v1)
    results = answer_scores_with_none([given], [[true]])
    assert (results["exact_match"], results["f1"]) == pytest.approx(v2)


def test_the_best_of_several_answers_counts():
    assert answer_scores(["the river", "x"], [["lake", "River"], ["y"]]) == {"exact_match": 50.0, "f1": 50.0}


def test_questions_without_answer():
    results = answer_scores_with_none(["", "x", "y"], [[], [], ["y"]])
    assert results["exact_match"] == pytest.approx(200 / 3)
    assert (results["no_answer_f1"], results["has_answer_f1"]) == (50.0, 100.0)
    # An answer that is an article alone has no words, so the question counts as one to answer by nothing.
    assert answer_scores_with_none([""], [["the"]])["exact_match"] == 100.0


@pytest.mark.parametrize(
    ("odds", "expected"),
    [
        ([-2.0, 3.0, 1.0], (100.0, 1.0)),  # both answers are given up to 1.0, the question without answer lies above
        ([3.0, -2.0, 4.0], (200 / 3, 4.0)),
        ([1.0, 1.0, 1.0], (200 / 3, 1.0)),
    ],
)
def test_the_best_threshold(odds, expected):
    assert best_threshold(["x", "y", "z"], [["x"], [], ["z"]], odds, "exact_match") == pytest.approx(expected)


# --- where answers lie


@pytest.mark.parametrize(
    ("context", "text", "pieces"),
    [
        ("a b c", "b", ["b"]),
        ("a bcd e", "c", ["##c"]),  # within a word
        ("é b c", "b", ["b"]),
        ("a  b\n c ", " b\n c ", ["b", "c"]),  # outer blanks and line feeds
        ("abc", "abc", ["a", "##b", "##c"]),
        ("x " * 14 + "y z", "y z", ["y", "z"]),
        ("x " * 40 + "y z", "y z", ["y", "z"]),
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


def test_no_answer_is_the_first_position(letters):
    spec, examples = read({"question": ["a"], "context": ["b c"], "answers": [[]]})
    assert spec.options["unanswerable"]
    _, y = next(iter(kbs.TaskData(TASK, spec, examples, letters).evaluation_batches(1)))
    assert (y["start"].numpy().tolist(), y["end"].numpy().tolist()) == ([0], [0])


def test_no_window_is_longer_than_a_row(letters):
    spec, examples = read(one("a b c " * 30, "a", 0))
    data = kbs.TaskData(TASK, spec, examples, letters)
    rows = [row for x, _ in data.evaluation_batches(4) for row in x["token_ids"].numpy()]
    assert len(rows) == len(data) == 6  # 19 pieces each, 4 of them shared, of 90
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
        # What two windows share is halved between them.
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
@pytest.mark.parametrize("seed", [0, 1])
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


def test_a_passage_without_pieces_has_no_answer(letters):
    spec, _ = read(one("a", "a", 0))
    features = TASK.features(spec, letters, {"question": tf.constant(["a"]), "context": tf.constant([""])})
    zeros = tf.zeros(features.inputs["token_ids"].shape)
    answer = answer_of(spec, TASK.decode(spec, {"start": zeros, "end": zeros}, features))
    assert (answer["answer"], answer["start"], answer["end"], answer["n_best"]) == (b"", 0, 0, [])
    assert answer["score"] == 0.0


# --- the threshold of no answer

ODDS, BEST, ANSWERS = [-3.0, -1.0, -1.0, 2.0, 5.0], ["x", "y", "", "z", "v"], [["x"], ["y"], [], ["z"], []]


@pytest.mark.parametrize("measure", ["exact_match", "f1"])
@pytest.mark.parametrize("seed", range(5))
def test_the_tuned_threshold_gives_the_best_score_there_is(measure, seed):
    """By trying every threshold; questions of the same odds cannot be answered unlike."""
    draws = np.random.default_rng(seed)
    best = [["x", "x y", "v"][number] for number in draws.integers(0, 3, 12)]
    answers = [[["x"], ["y z"], []][number] for number in draws.integers(0, 3, 12)]
    odds = draws.integers(-4, 4, 12).astype(float)

    def score(threshold: float) -> float:
        given = ["" if odd > threshold else text for text, odd in zip(best, odds, strict=True)]
        return answer_scores_with_none(given, answers)[measure]

    found = tuned_threshold(best, answers, odds.tolist(), measure)
    assert score(found) == pytest.approx(max(score(threshold) for threshold in np.arange(-5, 6)))
    assert np.abs(odds - found).min() >= 0.5


@pytest.mark.parametrize(("odds", "answers", "expected"), [([1.0], [[]], 0.0), ([1.0], [["x"]], 2.0)])
def test_the_tuned_threshold_beyond_all_odds(odds, answers, expected):
    assert tuned_threshold(["x"], answers, odds, "f1") == expected


def test_an_open_threshold_is_settled_on_held_out_data():
    decoded = {
        "answer": np.array([b"x", b"y", b"", b"", b""]),  # at 0
        "answers": np.array([[text.encode()] for text in BEST]),
        "null_odds": np.array(ODDS),
    }
    gold = {"answers": ANSWERS}
    spec = kbs.Spec("qa", ("question", "context"), 64, options={"unanswerable": True, "null_threshold": None})
    results = TASK.score(spec, decoded, gold)
    assert (results["null_threshold"], results["f1"], results["f1_at_0"], results["best_f1"]) == (3.5, 100, 80, 100)
    settled = TASK.settled(spec, results)
    assert settled.options["null_threshold"] == 3.5
    decoded["answer"][3] = b"z"  # as `decode` gives them with this threshold
    again = TASK.score(settled, decoded, gold)
    assert again == {name: value for name, value in results.items() if not name.endswith("_at_0")}
    assert TASK.settled(spec, {"f1": 1.0}).options["null_threshold"] == 0.0
    assert TASK.settled(settled, {"null_threshold": 9.0}) == settled  # of those who gave one


SOME = "the heron and the otter "


@pytest.mark.usefixtures("eagerly")
def test_a_run_tells_what_became_of_its_answers_and_answers_by_its_threshold(small, tokenizer, caplog):
    """Of six questions: learnt, longer than can be given, longer than a window, no piece, no answer, a wrong one."""
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
        "columns in memory: 2 of 4 answers are learnt (1 longer than 3 pieces, never given as an answer), 1 are whole "
        f"in no window, 1 have no pieces; {windows - 2} of {windows} windows point at [CLS]"
    ]
    stored = kbs.Spec.load("run").options["null_threshold"]
    assert stored == run.results["dev"]["null_threshold"] == kbs.Spec.load("run/best").options["null_threshold"]
    again = kbs.evaluate("run", data, on_bad_row="skip")
    assert again == {name: value for name, value in run.results["dev"].items() if not name.endswith("_at_0")}


# --- reading


def squad(*entries: dict) -> Path:
    path = Path("some.json")
    path.write_text(
        json.dumps({"data": [{"paragraphs": [{"context": "The otter swims. 🦦 Ends", "qas": list(entries)}]}]})
    )
    return path


def question(text: str, start: int, **more) -> dict:
    return {"id": "q1", "question": "who", "answers": [{"text": text, "answer_start": start}], **more}


def test_squad_and_tables_are_the_same_data():
    path = squad(question("Ends", 19))
    row = {"question": "who", "context": "The otter swims. 🦦 Ends", "id": "q1"}
    Path("a.jsonl").write_text(json.dumps({**row, "answers": [{"text": "Ends", "answer_start": 19}]}))
    Path("b.jsonl").write_text(json.dumps({**row, "answers": {"text": ["Ends"], "answer_start": [19]}}))
    Path("packed.json.gz").write_bytes(gzip.compress(path.read_bytes()))
    found = [read(source)[1] for source in (path, "packed.json.gz", "a.jsonl", "b.jsonl")]
    assert len({examples.digest for examples in found}) == 1
    assert (found[0].gold["start"].tolist(), found[0].gold["limit"].tolist()) == ([22], [26])
    spec = kbs.Spec("qa", ("question", "context"), 64)
    assert list(TASK.unlabelled(path, spec)) == list(TASK.unlabelled("a.jsonl", spec)) == [row]
    assert list(found[0].carried["id"]) == ["q1"]


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (question("otter", 5), r"'q1' \(article 1, paragraph 1\) has the answer 'otter' at character 5.* it is at 4"),
        (question("heron", 4), "'heron', which is not there"),
        (question("otter", -20), "it is at 4"),
        (question("otter", 4, question=" "), "has no text"),
        (question(" ", 3), "empty answer"),
    ],
)
def test_what_is_wrong_is_named(entry, named):
    with pytest.raises(kbs.UserError, match=rf"some\.json: .*{named}"):
        read(squad(entry))
    _, examples = read(squad(entry, question("otter", 4, id="q2")), on_bad_row="skip")
    assert (len(examples), sum(examples.skipped.values())) == (1, 1)


def test_a_question_without_answer_needs_a_model_that_knows_such():
    spec, _ = read(squad(question("otter", 4)))
    with pytest.raises(kbs.UserError, match=r"'q1' .* has no answer, which none of the training questions lacked"):
        TASK.read(squad(question("otter", 4, is_impossible=True)), spec)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"id": "q1", "answers": []}, "missing text|has no value"),
        ({"id": "q1", "question": 5, "answers": []}, "has 5, which is no string"),
        ({"id": "q1", "question": "who"}, "has no 'answers'"),
        (question("otter", "4"), "which are no answers"),
        ({"id": "q1", "question": "who", "answers": [{"text": "otter"}]}, "which are no answers"),
        ({"id": "q1", "question": "\ud800", "answers": []}, "surrogate"),
    ],
)
def test_a_question_that_is_not_whole_is_named(entry, named):
    with pytest.raises(kbs.UserError, match=rf"some\.json: the question 'q1' .*({named})"):
        read(squad(entry))


def test_impossible_questions_have_no_answer():
    spec, examples = read(squad(question("otter", 4, is_impossible=True)))
    assert spec.options["unanswerable"]
    assert examples.gold["answers"] == [[]]


@pytest.mark.parametrize("content", ["[]", "{}", "{", '{"question": "a"}\n{"question": "b"}'])
def test_what_is_not_squads_json_is_refused(content):
    Path("a.json").write_text(content)
    with pytest.raises(kbs.UserError, match=r"a\.json: is not SQuAD's JSON"):
        read("a.json")


def test_a_row_must_have_room_for_a_question_and_a_passage():
    with pytest.raises(kbs.UserError, match="`max_length`: 23 leaves -44 pieces of a passage beside a question of 64"):
        read(one("a", "a", 0), max_question_length=64)
