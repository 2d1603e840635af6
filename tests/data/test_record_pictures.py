"""The picture of records: it draws what is in the rows, which are counted here by hand."""

import collections
from pathlib import Path

import numpy as np
import pytest
from commands.calls import keras_bert, refused

import keras_bert_scratch as kbs
from keras_bert_scratch.data import record_sample
from keras_bert_scratch.data.google.writer import write_google_examples
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.record_pictures import figure_of
from keras_bert_scratch.data.record_sample import PACKED, UNPACKED, sample_records

LENGTH, ROWS = 32, 64
SPECIAL = ("[CLS]", "[SEP]")


@pytest.fixture(scope="module", params=["documents", "google"])
def opened(request, records, tmp_path_factory):
    if request.param == "google":
        folder = tmp_path_factory.mktemp("google") / "examples"
        write_google_examples(records, folder, max_length=LENGTH)
        return kbs.open_records(folder)
    return kbs.open_records(records)


@pytest.fixture(scope="module", autouse=True)
def few_rows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_sample, "ROWS", ROWS)
        yield


@pytest.fixture(scope="module")
def sample(opened):
    return sample_records(opened, LENGTH)


@pytest.fixture(scope="module")
def masks(opened) -> list[tuple[int, int, str, str]]:
    """Row, position, token and the token shown in its place, for every mask in the rows."""
    tokens, found = opened.tokenizer.vocabulary.tokens, []
    for step, (inputs, labels, weights) in enumerate(opened.batches(32, LENGTH).take(ROWS // 32).as_numpy_iterator()):
        for row in range(32):
            for position, token, weight in zip(
                inputs["mask_positions"][row], labels["masked_lm"][row], weights["masked_lm"][row], strict=True
            ):
                if weight:
                    seen = tokens[inputs["token_ids"][row, position]]
                    found.append((32 * step + row, int(position), tokens[token], seen))
    return found


@pytest.fixture(scope="module")
def tokens(opened, masks) -> list[list[str]]:
    """The rows' tokens, with the masked ones restored."""
    names, rows = opened.tokenizer.vocabulary.tokens, []
    for inputs, _, _ in opened.batches(32, LENGTH).take(ROWS // 32).as_numpy_iterator():
        rows += [
            [names[token] for token in row[: mask.sum()]]
            for row, mask in zip(inputs["token_ids"], inputs["padding_mask"], strict=True)
        ]
    for row, position, token, _ in masks:
        rows[row][position] = token
    return rows


def test_lengths_are_those_of_texts_and_rows(opened, sample, tokens):
    assert sample.rows[UNPACKED].tolist() == [len(row) for row in tokens]
    assert sample.padding(UNPACKED) == pytest.approx(1 - sum(map(len, tokens)) / (ROWS * LENGTH))
    if "examples" in sample.texts:
        assert list(sample.rows) == [UNPACKED]
        assert sample.texts["examples"].tolist() == opened.lengths().tolist()
        return
    assert sample.texts["documents"].sum() == sample.texts["sentences"].sum() == opened.lengths().sum()
    packed = opened.batches(32, LENGTH, rules=ExampleRules(packing=True)).take(ROWS // 32).as_numpy_iterator()
    there = np.concatenate([inputs["padding_mask"] for inputs, _, _ in packed])
    assert sample.padding(PACKED) == pytest.approx(1 - there.mean())


def test_masks_are_counted_by_row_position_and_token(sample, masks, tokens):
    assert sample.masks_per_row.tolist() == [sum(row == number for row, *_ in masks) for number in range(ROWS)]
    there = collections.Counter(
        position for row in tokens for position, token in enumerate(row) if token not in SPECIAL
    )
    masked = collections.Counter(position for _, position, *_ in masks)
    expected = [masked[n] / there[n] if there[n] else np.nan for n in range(LENGTH)]
    np.testing.assert_allclose(sample.masked_fraction, expected)
    assert np.isnan(sample.masked_fraction[0])  # [CLS]
    assert sample.shown_as == {
        "[MASK]": sum(seen == "[MASK]" for *_, seen in masks),
        "another token": sum(seen not in ("[MASK]", token) for *_, token, seen in masks),
        "itself": sum(seen == token for *_, token, seen in masks),
    }
    assert sample.masked_tokens == collections.Counter(token for _, _, token, _ in masks)
    assert sample.all_tokens == collections.Counter(token for row in tokens for token in row if token not in SPECIAL)
    assert list(sample.masked_tokens.values()) == sorted(sample.masked_tokens.values(), reverse=True)


def test_the_figure_draws_them(sample):
    figure = figure_of(sample, "animals")
    texts, rows, counts, positions, shown, tokens = figure.axes
    assert figure._suptitle.get_text() == (
        f"animals: {ROWS} rows of {LENGTH} positions, "
        "as training at this length reads them (a smaller corpus is repeated)"
    )
    for axes, lengths in ((texts, sample.texts), (rows, sample.rows)):
        told = [text.get_text() for text in axes.get_legend().get_texts()]
        assert len(told) == len(lengths)
        assert all(what in line for what, line in zip(lengths, told, strict=True))
        for polygon, values in zip(axes.patches, lengths.values(), strict=True):
            assert polygon.get_xy()[:, 1].max() == pytest.approx(_highest_bin(polygon, values))
        assert len({patch.get_linestyle() for patch in axes.patches}) == len(lengths)  # distinguishable without colours
    assert f"{sample.padding(UNPACKED):.1%} padding" in rows.get_legend().get_texts()[0].get_text()
    assert [bar.get_height() for bar in counts.patches] == pytest.approx(np.bincount(sample.masks_per_row) / ROWS)
    np.testing.assert_array_equal(positions.lines[0].get_ydata(), sample.masked_fraction)

    total = sum(sample.shown_as.values())
    shares = [count / total for count in sample.shown_as.values()]
    assert [bar.get_height() for bar in shown.patches] == pytest.approx(shares)
    assert list(shown.lines[0].get_ydata()) == pytest.approx([0.8, 0.1, 0.1])
    assert [text.get_text() for text in shown.texts] == [f"{share:.1%}" for share in shares]
    assert shown.get_title() == f"replacement of {total:,} masked tokens"

    names = [label.get_text() for label in tokens.get_yticklabels()]
    assert names == list(sample.masked_tokens)[:12]
    assert [bar.get_width() for bar in tokens.patches] == pytest.approx(
        [100 * sample.masked_tokens[name] / total for name in names]
    )
    everything = sum(sample.all_tokens.values())
    assert list(tokens.lines[0].get_xdata()) == pytest.approx(
        [100 * sample.all_tokens[name] / everything for name in names]
    )


def _highest_bin(polygon, values) -> float:
    edges = np.unique(polygon.get_xy()[:, 0])
    return np.histogram(values, edges)[0].max() / len(values)


def test_inspect_draws_records_and_nothing_else(records):
    result = keras_bert("inspect", records, "--picture", "records.png")
    assert result.exit_code == 0, result.output
    assert result.output.endswith("records.png: written\n")
    assert Path("records.png").read_bytes().startswith(b"\x89PNG")
    refused("inspect", records, "--picture", "records.png", saying=r"records\.png: exists already")
    refused(
        "inspect", records / "vocab.txt", "--picture", "v.png", saying="--picture: is for records, and .* holds none"
    )
