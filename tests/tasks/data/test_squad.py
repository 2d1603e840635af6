"""Questions are read from SQuAD's JSON and from tables; what is wrong is named."""

import gzip
import json
from pathlib import Path

import pytest
from tasks.small_questions import TASK, one, read

import keras_bert_scratch as kbs


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
        (question("otter", 5), r"'q1' \(article 1, paragraph 1\) has .* at character 5, but it is at character 4"),
        (question("heron", 4), "'heron', which is not in the context"),
        (question("otter", -20), "it is at character 4"),
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
    with pytest.raises(kbs.UserError, match=r"'q1' .* has no answer, but every training question had one"):
        TASK.read(squad(question("otter", 4, is_impossible=True)), spec)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"id": "q1", "answers": []}, "missing text|has no value"),
        ({"id": "q1", "question": 5, "answers": []}, "has 5, which is not a string"),
        ({"id": "q1", "question": "who"}, "has no 'answers'"),
        (question("otter", "4"), "which is not a list of answers"),
        ({"id": "q1", "question": "who", "answers": [{"text": "otter"}]}, "which is not a list of answers"),
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
    with pytest.raises(kbs.UserError, match="23 leaves -44 pieces for the passage next to a question of 64"):
        read(one("a", "a", 0), max_question_length=64)
