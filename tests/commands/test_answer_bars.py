"""A terminal shows answers as bars; piped output has no bars."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from commands.calls import keras_bert, refused
from matplotlib.colors import to_hex
from matplotlib.text import Text
from rich.console import Console

import keras_bert_scratch as kbs
from keras_bert_scratch.commands import predict
from keras_bert_scratch.commands.answer_bars import MOST_BARS, most_probable, print_bars, shows_bars
from keras_bert_scratch.figures import SHADES
from keras_bert_scratch.tasks.pictures import Panel, figure_of_candidates
from keras_bert_scratch.tasks.registry import get_task

LABELS = {"no": 0.25, "yes": 0.75}


def printed(texts, candidates, exclusive=True, chosen=None) -> list[str]:
    screen = io.StringIO()
    print_bars(texts, candidates, exclusive, Console(file=screen, width=80, color_system=None), chosen)
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_a_bar_is_as_long_as_the_probability():
    lines = printed(["An [otter]."], {"": LABELS})
    assert lines == [
        "An [otter].",
        f"   yes {'█' * 30}           0.75",
        f"   no  {'█' * 10}                               0.25",
    ]


def test_of_many_candidates_the_most_probable_are_shown():
    probabilities = {f"l{number}": number / 100 for number in range(13)}
    lines = printed(["a", "b"], {"gap 1": probabilities, "gap 2": LABELS})
    assert lines[:2] == ["a | b", "  gap 1"]
    assert [line.split()[0] for line in lines[2:12]] == [f"l{number}" for number in range(12, 2, -1)]
    assert lines[12:14] == ["   and 3 less probable ones", "  gap 2"]
    assert len(most_probable(probabilities)) == MOST_BARS


@pytest.mark.parametrize(
    ("is_terminal", "encoding", "bars"), [(True, "utf-8", True), (False, "utf-8", False), (True, "ascii", False)]
)
def test_bars_are_for_terminals_that_have_them(monkeypatch, is_terminal, encoding, bars):
    screen = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(screen, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr("sys.stdout", screen)
    assert shows_bars() is bars


@pytest.mark.parametrize(
    ("task", "answer", "candidates"),
    [
        ("classification", {"label": "yes", "scores": LABELS}, {"": LABELS}),
        ("pair-classification", {"label": "yes", "scores": LABELS}, {"": LABELS}),
        ("multi-label", {"labels": ["yes"], "scores": LABELS}, {"": LABELS}),
        ("qa", {"answer": "a", "n_best": [{"answer": "a", "score": 0.5}]}, {"": {"a": 0.5}}),
        ("fill-mask", {"fillings": [{"tokens": ["the", "##m"], "score": 0.5}]}, {"": {"the ##m": 0.5}}),
        ("fill-mask", {"fillings": [], "targets": [LABELS]}, {"": LABELS}),
        ("fill-mask", {"fillings": [], "targets": [LABELS, LABELS]}, {"gap 1": LABELS, "gap 2": LABELS}),
    ],
)
def test_what_an_answer_was_chosen_among(task, answer, candidates):
    assert get_task(task).candidates(answer) == candidates


SPANS = [{"answer": "an otter", "score": 0.5}, {"answer": "otter", "score": 0.25}]


@pytest.mark.parametrize(
    ("task", "answer", "chosen", "probability_of_none"),
    [
        ("multi-label", {"labels": [], "scores": LABELS}, [], None),
        ("multi-label", {"labels": ["yes"], "scores": LABELS}, ["yes"], None),
        ("classification", {"label": "yes", "scores": LABELS}, None, None),
        ("qa", {"answer": "an otter", "n_best": SPANS}, None, None),
        ("qa", {"answer": "an otter", "null_odds": np.log(0.5), "n_best": SPANS}, ["an otter"], 0.25),
        ("qa", {"answer": "an otter", "null_odds": 900.0, "n_best": [{"answer": "a", "score": 0.0}]}, ["an otter"], 1),
        ("qa", {"answer": "", "score": 0.25, "null_odds": np.log(0.5), "n_best": SPANS}, ["(no answer)"], 0.25),
        ("qa", {"answer": "", "score": 1.0, "null_odds": 1e9, "n_best": []}, ["(no answer)"], 1),
    ],
)
def test_what_was_chosen_is_one_of_the_candidates(task, answer, chosen, probability_of_none):
    found = get_task(task).chosen(answer)
    assert found == chosen
    candidates = get_task(task).candidates(answer)[""]
    assert candidates.get("(no answer)") == pytest.approx(probability_of_none)


def test_the_answer_is_marked_where_it_is_not_always_the_most_probable():
    spans = {"otter": 0.5, "(no answer)": 0.25}
    given, other, said = printed(["a"], {"": spans}, chosen=["(no answer)"])[1:]
    assert given.split()[0] == "otter"
    assert other.split()[:3] == ["✓", "(no", "answer)"]
    assert said == "   ✓ the answer"
    assert printed(["a"], {"": LABELS}, exclusive=False, chosen=[])[-1].endswith("each is below its threshold")
    many = {f"l{number:02}": 0.9 - number / 100 for number in range(13)}
    lines = printed(["a"], {"": many}, exclusive=False, chosen=["l11", "l00"])
    assert [line.split()[1] for line in lines if "█" in line and "✓" in line] == ["l00", "l11"]
    assert lines[-1] == "   and 2 less probable ones"


def test_a_picture_marks_the_answer_and_counts_what_it_leaves_out():
    panels = [Panel("a", {"b": 0.5, "c": 0.3}, ["c"], 190), Panel("a", {"b": 0.1}, []), Panel("a", {"b": 0.1})]
    first, second, third = figure_of_candidates(panels, "", exclusive=False).axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["b", "✓ c"]
    assert [to_hex(bar.get_facecolor()) for bar in first.patches] == [SHADES[1], SHADES[2]]
    assert first.get_xlabel() == "✓ the answer; and 190 less probable ones"
    assert second.get_xlabel().endswith("each is below its threshold")
    assert third.get_xlabel() == "probability"


@pytest.mark.parametrize("task", ["ner", "regression", "choice", "embed", "translation", "generate"])
def test_other_answers_have_no_bars(task):
    assert not get_task(task).has_candidates
    assert get_task(task).candidates({}) == {}


def test_a_picture_has_a_panel_of_bars_for_each_text():
    figure = figure_of_candidates(
        [Panel("An $otter$.", most_probable(LABELS)), Panel("b", {"a": 0.5})], "Answers of run", exclusive=True
    )
    first, second = figure.axes
    assert [bar.get_width() for bar in first.patches] == [0.75, 0.25]
    assert [label.get_text() for label in first.get_yticklabels()] == ["yes", "no"]
    assert [text.get_text() for text in first.texts] == ["0.75", "0.25"]
    assert first.get_title(loc="left") == "An $otter$."
    assert to_hex(second.patches[0].get_facecolor()) == SHADES[1]
    assert first.get_ylim() == (1.5, -0.5)  # the first is on top
    assert first.get_xlim() == (0.0, 1.0)


def test_small_probabilities_have_bars_too(capsys):
    fillings = {"an otter": 0.004, "a heron": 0.001}
    text = f"{'It sleeps in the reeds, as ever. ' * 5}It is [MASK] [MASK]. {'It sleeps in the reeds, as ever. ' * 5}"
    (axes,) = figure_of_candidates([Panel(text, fillings)], "", exclusive=True).axes
    assert axes.get_xlim() == (0.0, 0.004)
    assert "It is [MASK] [MASK]." in axes.get_title(loc="left")
    (axes,) = figure_of_candidates([Panel("水獭睡在芦苇里。" * 20, {"no": 0.0})], "", exclusive=True).axes
    assert axes.get_title(loc="left").startswith("水獭睡在芦苇里。水獭")
    assert axes.get_xlim() == (0.0, 1.0)
    print_bars([text], {"": fillings}, True, Console())
    full, quarter, said = (line for line in capsys.readouterr().out.splitlines()[-3:])
    assert (full.count("█"), quarter.count("█")) == (40, 10)
    assert said.strip() == "a full bar is 0.004"


@pytest.mark.parametrize(
    "text", ["W" * 90, "这部电影从头到尾都是一种享受" * 7, f"{'这部电影' * 25}[MASK]{'享受' * 25}"]
)
@pytest.mark.parametrize("label", ["yes", "a rather long name of a label"])
def test_a_wide_text_ends_at_the_edge_of_the_picture(text, label):
    figure = figure_of_candidates([Panel(text, {label: 0.5})], "享受" * 60, exclusive=True)
    figure.draw_without_rendering()
    title = next(one for one in figure.findobj(Text) if one.get_text().endswith(" …"))
    for shown in (title, *figure.texts):
        assert figure.bbox.x0 <= shown.get_window_extent().x0
        assert shown.get_window_extent().x1 <= figure.bbox.x1
    assert ("[MASK]" in title.get_text()) == ("[MASK]" in text)


def test_bars_of_labels_that_are_all_unlikely_stay_short():
    unlikely = {"yes": 0.05, "no": 0.025}
    assert printed(["a"], {"": unlikely}, exclusive=False) == [
        "a",
        f"   yes {'██':<40} 0.05",
        f"   no  {'█':<40} 0.025",
    ]
    (axes,) = figure_of_candidates([Panel("a", unlikely)], "", exclusive=False).axes
    assert axes.get_xlim() == (0.0, 1.0)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(
    ("task", "options", "longest", "limit"),
    [("multi-label", {"threshold": 0.5}, 1, 1.0), ("classification", {}, 40, 1 / 30)],
)
def test_the_task_says_whether_one_label_must_be_right(task, options, longest, limit, small, tokenizer, monkeypatch):
    labels = tuple(f"label {number}" for number in range(30))
    problem = {"problem_type": "multi_label_classification"} if task == "multi-label" else {}
    model = kbs.BertTextClassifier(kbs.BertBackbone(small), len(labels), label_names=labels, **problem)
    kernel, bias = model.trainable_variables[-2:]
    kernel.assign(0.0 * kernel)
    bias.assign(np.full(len(labels), -3.0))  # sigmoid gives 0.047, softmax over 30 labels 1/30
    kbs.FineTuned(model, tokenizer, kbs.Spec(task, ("text",), 32, labels, options=options)).save("unsure")
    monkeypatch.setattr(predict, "shows_bars", lambda: True)
    drawn = []
    monkeypatch.setattr(predict.figures, "write", lambda figure, picture: drawn.extend(figure.axes))
    shown = keras_bert("predict", "unsure", "a heron", "--picture", "bars.png")
    assert shown.exit_code == 0, shown.output
    assert drawn[0].get_xlim()[1] == pytest.approx(limit)
    assert max(line.count("█") for line in shown.stdout.splitlines()) == longest
    for said in (shown.stdout, drawn[0].get_xlabel()):
        assert ("each is below its threshold" in said) == (task == "multi-label")
        assert "and 20 less probable ones" in said


@pytest.mark.usefixtures("eagerly")
def test_predict_shows_bars_to_people_and_lines_to_programs(model, monkeypatch):
    lines = keras_bert("predict", model, "The heron.", "An otter.")
    assert lines.exit_code == 0, lines.output
    told = [re.fullmatch(r"(no|yes)\t(0\.\d{3})\t(.+)", line).groups() for line in lines.stdout.splitlines()]
    assert [text for *_, text in told] == ["The heron.", "An otter."]

    pictured = keras_bert("predict", model, "The heron.", "An otter.", "--picture", "bars.png")
    assert pictured.stdout == lines.stdout
    assert "bars.png: written" in pictured.stderr
    assert Path("bars.png").read_bytes().startswith(b"\x89PNG")

    monkeypatch.setattr(predict, "shows_bars", lambda: True)
    bars = keras_bert("predict", model, "The heron.", "An otter.").stdout.splitlines()
    assert [bars[0], bars[3]] == ["The heron.", "An otter."]
    for line, (label, score, _) in zip((bars[1], bars[4]), told, strict=True):
        assert line.split()[0] == label
        assert float(line.split()[-1]) == pytest.approx(float(score), abs=1e-3)


@pytest.mark.usefixtures("eagerly")
def test_a_text_of_several_lines_stays_one_field_of_one_line(model):
    lines = keras_bert("predict", model, "The\theron\r\nsleeps.\n", "An otter.").stdout.splitlines()
    assert [line.split("\t")[2:] for line in lines] == [["The heron sleeps."], ["An otter."]]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"answer": "an\notter", "score": 0.5}, "an otter\t0.500"),
        ({"answer": "", "score": 0.5}, "\t0.500"),
        ({"translation": "a\u2028b\tc", "score": 0.5}, "a b c\t0.500"),
        ({"entities": [{"text": "St.\nIves", "type": "place", "score": 0.5}]}, "St. Ives (place 0.50)"),
        ({"labels": ["a"], "scores": {"a": float("nan")}}, '{"labels": ["a"], "scores": {"a": null}}'),
        ({"similarity": [float("nan"), 0.5]}, '{"similarity": [null, 0.5]}'),
    ],
)
def test_an_answer_is_a_line(answer, line):
    assert predict._line(answer) == line


def test_bars_on_a_narrow_screen_keep_names_lengths_and_numbers(monkeypatch, model):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(predict, "shows_bars", lambda: True)
    lines = keras_bert("predict", model, "The heron.").stdout.splitlines()
    assert sorted(line.split()[0] for line in lines[1:]) == ["no", "yes"]
    assert [line.count("█") / 40 for line in lines[1:]] == [
        pytest.approx(float(line.split()[-1]), abs=0.03) for line in lines[1:]
    ]


def test_bars_of_a_model_whose_weights_are_not_numbers_are_empty():
    _, line = printed(["a"], {"": {"yes": float("nan")}})
    assert line.split() == ["yes", "nan"]


@pytest.mark.usefixtures("eagerly")
def test_a_picture_names_the_model_of_the_current_folder(model, monkeypatch):
    titles = []
    monkeypatch.setattr(predict.figures, "write", lambda figure, picture: titles.append(figure.get_suptitle()))
    monkeypatch.chdir(model)
    assert keras_bert("predict", ".", "The heron.", "--picture", "bars.png").exit_code == 0
    assert titles == ["Answers of model to 1 text"]


@pytest.mark.usefixtures("eagerly")
def test_what_has_no_bars_is_refused_before_it_is_asked(model, small, tokenizer, monkeypatch):
    spec = kbs.Spec("regression", ("text",), 32)
    regressor = kbs.BertTextClassifier(kbs.BertBackbone(small), 1, problem_type="regression")
    kbs.FineTuned(regressor, tokenizer, spec).save("scores")
    monkeypatch.setattr(kbs.FineTuned, "predict", lambda *arguments: 1 / 0)
    refused("predict", "scores", "a", "--picture", "a.png", saying="--picture: scores has no probabilities of several")
    few = "--picture: is only for TEXT, at most 20 of them; leave it out, or give fewer"
    refused("predict", "none", "--data", "t.csv", "--picture", "a.png", saying=few)
    refused("predict", "none", *["a"] * 21, "--picture", "a.png", saying=few)
    refused("predict", "none", "a", "--picture", "a.gif", saying="--picture: is a PNG")
