"""Without a terminal, progress is a line at intervals."""

import io
from types import SimpleNamespace

import pytest

from keras_bert_scratch.progress import ProgressBar, print_progress


@pytest.mark.parametrize(
    ("unit", "first", "updates", "lines"),
    [
        ("steps", 0, [(10, 20, "loss 1.000")], ["title: 10/20 steps, ETA 5 s  loss 1.000"]),
        ("steps", 10, [(15, 20, "")], ["title: 15/20 steps, ETA 5 s"]),  # the estimate ignores what was done before
        ("s", 0, [(5.0, 10.0, "")], ["title: 5/10 s, ETA 5 s"]),
        ("bytes", 0, [(2_000_000, 4_000_000, "")], ["title: 2/4 MB, ETA 5 s"]),
        ("rows", 0, [(7, None, "")], ["title: 7 rows"]),  # the total is unknown
        ("bytes", 0, [(1, 4, ""), (2, 4, "")], ["title: 0/0 MB, ETA 15 s"]),  # the second update is too soon
    ],
)
def test_lines(unit, first, updates, lines, monkeypatch, capsys):
    clock = iter([0.0, 5.0, 5.5])
    monkeypatch.setattr("keras_bert_scratch.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    bar = ProgressBar("title", unit, line_seconds=1.0)
    bar.start(first)
    for done, total, text in updates:
        bar.update(done, total, text)
    bar.close()
    assert capsys.readouterr().err.splitlines() == lines


def test_the_last_line_is_printed_where_a_bar_would_stay(capsys):
    for stays in (True, False):
        with ProgressBar(f"stays {stays}", "steps", stays=stays) as bar:
            bar.update(1, None)
            bar.update(2, None)
    assert capsys.readouterr().err.splitlines() == ["stays True: 2 steps"]


def test_amounts_are_added_up(monkeypatch, capsys):
    clock = iter([0.0, 1.0, 2.0])
    monkeypatch.setattr("keras_bert_scratch.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    with ProgressBar("title", "rows", line_seconds=1.0) as bar:
        add = bar.counter(8)
        add(2)
        add(4)
    assert capsys.readouterr().err.splitlines() == ["title: 2/8 rows, ETA 3 s", "title: 6/8 rows, ETA 1 s"]


def test_what_is_piped_stays_in_the_pipe(monkeypatch, capsys):
    """Rich would send it to stderr, where it draws the bar."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ProgressBar("title", "rows") as bar:
        bar.update(1, 2)
        print("an answer")
    assert capsys.readouterr().out == "an answer\n"


def test_a_notebook_gets_lines_on_stderr(monkeypatch, capsys):
    """Rich would display them as HTML, among the results of the cell."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    print_progress("held out at step 10")
    with ProgressBar("title", "rows", line_seconds=0.0) as bar:
        bar.update(1, None)
    assert capsys.readouterr().err.splitlines() == ["held out at step 10", "title: 1 rows"]


def test_a_reader_that_has_ended_does_not_end_the_training(monkeypatch):
    """Ctrl-C also ends the `tee` of `keras-bert pretrain ... 2>&1 | tee log`."""

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    print_progress("held out at step 10")
    with ProgressBar("title", "rows", line_seconds=0.0, stays=True) as bar:
        bar.update(1, None)


def test_square_brackets_are_shown(monkeypatch, capsys):
    """Rich would read them as markup, and drop those that look like a style."""
    print_progress("data[red]/records")
    with ProgressBar("a[red].bin", "rows", line_seconds=0.0) as bar:
        bar.update(1, None, "b[red]")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ProgressBar("c[red].bin", "rows", stays=True) as bar:
        bar.update(1, 2, "d[red]")
    shown = capsys.readouterr().err
    names = ("data[red]/records", "a[red].bin", "b[red]", "c[red].bin", "d[red]")
    assert not [name for name in names if name not in shown]
