import pytest

from keras_bert_scratch.tasks.data.labels import label_order, unknown_label


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["10", "2", "1", "2"], ("1", "2", "10")),
        (["1", "-1", "+0"], ("-1", "+0", "1")),
        (["1", "01"], ("01", "1")),
        (["2", "10", "x"], ("10", "2", "x")),
        (["2.5", "10.0", "9"], ("2.5", "9", "10.0")),
        (["9" * 5000, "10"], ("10", "9" * 5000)),
        (["1e3", "9"], ("1e3", "9")),
        (["²", "10"], ("10", "²")),
        (["b", "B", "a"], ("B", "a", "b")),
        ([], ()),
    ],
)
def test_numbers_stand_in_their_order(names, order):
    assert label_order(names) == order
    assert label_order(reversed(names)) == order


@pytest.mark.parametrize(
    ("label", "names", "fix"),
    [
        ("Pos", ("neg", "pos"), "did you mean 'pos'?"),
        ("1.0", ("0", "1"), "did you mean '1'?"),
        ("not entailment", ("entailment", "not_entailment"), "did you mean 'not_entailment'?"),
        ("x", ("neg", "pos"), "correct it, or train with it"),
        ("a", ("A", "a "), "correct it, or train with it"),
    ],
)
def test_an_unknown_label_is_told_from_what_is_meant(label, names, fix):
    listed = ", ".join(map(repr, names))
    assert unknown_label(label, names) == (
        "unknown label", f"has the label {label!r}, which is not one of {listed}", fix
    )  # fmt: skip


def test_many_names_are_not_listed_all():
    assert unknown_label("x", [str(number) for number in range(150)]).problem.endswith("'19' and 130 more")
