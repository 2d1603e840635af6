"""The masking rules, by count; by chance a bound is missed once in a million keys, and keys are fixed."""

import collections
import itertools
import math
import random

import numpy as np
import pytest
from bert import create_pretraining_data as google

import keras_bert_scratch as kbs
from keras_bert_scratch.data import rng
from keras_bert_scratch.data.pretraining.masking import MaskingRule, mask_tokens
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS

DEVIATIONS = 5
UNITS = ("tokens", "words", "ngrams")

# A row for every question about units: word, word of two, word of three, [SEP], word, word.
WORDS = kbs.Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "##s"))
ROW = [2, 5, 5, 6, 5, 6, 7, 3, 5, 5, 3]
ROW_WORDS = {0: [1], 1: [2, 3], 2: [4, 5, 6], 4: [8], 5: [9]}  # word: its positions; none is 3, where [SEP] stands


def near(count: int, of: int, fraction: float) -> bool:
    """Whether `count` of `of` throws is within five standard deviations of `fraction`."""
    return abs(count - of * fraction) < DEVIATIONS * np.sqrt(of * fraction * (1 - fraction)) + 1


@pytest.fixture(scope="module")
def many_rows(vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """4,000 rows of 40 with up to 38 ordinary tokens, `[CLS]` first, a `[SEP]` in the middle and one at the end."""
    generator = np.random.default_rng(0)
    ids = generator.integers(5, len(vocabulary), (4000, 40)).astype("int32")
    sizes = generator.integers(3, 41, 4000)
    ids[:, 0] = vocabulary.cls_id
    ids[np.arange(4000), sizes - 1] = vocabulary.sep_id
    ids[np.arange(4000), sizes // 2] = vocabulary.sep_id
    mask = (np.arange(40)[None] < sizes[:, None]).astype("int32")
    return np.where(mask, ids, vocabulary.pad_id), mask


def masked(rows, vocabulary, rule=None, keys=None):
    ids, mask = (np.asarray(part, np.int32) for part in rows)
    keys = rng.random_hash("test", np.arange(len(ids))) if keys is None else keys
    return mask_tokens(ids, mask, vocabulary, rule or MaskingRule(), keys)


def repeated(row: list[int], count: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.tile(np.array(row, np.int32), (count, 1))
    return ids, np.ones_like(ids)


def chosen_in(result) -> list[tuple[int, ...]]:
    """Each row's chosen positions."""
    counts = result["mask_weights"] == 1
    return [tuple(positions[there].tolist()) for positions, there in zip(result["mask_positions"], counts, strict=True)]


# --- how many


@pytest.mark.parametrize(("fraction", "max_predictions"), [(0.15, None), (0.02, None), (0.15, 3), (0.99, None)])
def test_the_fraction_of_tokens_is_chosen(many_rows, vocabulary, fraction, max_predictions):
    ids, mask = many_rows
    result = masked(many_rows, vocabulary, MaskingRule(fraction, max_predictions=max_predictions))
    maskable = ((ids != vocabulary.cls_id) & (ids != vocabulary.sep_id) & (mask == 1)).sum(1)
    wanted = [
        min(max_predictions or 40, max(1, round(size * fraction))) for size in mask.sum(1).tolist()
    ]  # Google's line
    np.testing.assert_array_equal(result["mask_weights"].sum(1), np.minimum(wanted, maskable))


@pytest.mark.parametrize(
    ("rule", "length", "num_positions"),
    [
        (MaskingRule(), 128, 20),
        (MaskingRule(), 1, 1),
        (MaskingRule(0.3), 128, 39),
        (MaskingRule(max_predictions=20), 512, 20),
    ],
)
def test_max_predictions(rule, length, num_positions):
    assert rule.num_predictions(length) == num_positions
    assert masked((np.full((2, length), 5), np.ones((2, length))), WORDS, rule)["mask_ids"].shape == (2, num_positions)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("row", [[], [2, 3], [2, 3, 3]])
def test_a_row_without_words_is_left_alone(unit, row):
    ids = np.array([row + [0] * (8 - len(row)), [2, 5, 5, 5, 5, 5, 5, 3]])
    result = masked((ids, np.arange(8) < np.array([[len(row)], [8]])), WORDS, MaskingRule(unit=unit))
    assert result["mask_weights"].sum(1).tolist() == [0, 1]
    assert result["token_ids"][0].tolist() == ids[0].tolist()
    assert not result["mask_positions"][0].any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fraction": 0.0}, r"`fraction`: .* not 0.0"),
        ({"fraction": 1.0}, r"`fraction`: .* not 1.0"),
        ({"fraction": math.nan}, r"`fraction`: .* not nan"),
        ({"unit": "letters"}, r"`unit`: 'letters' is unknown; choose one of tokens, words, ngrams"),
        ({"max_predictions": 0}, r"`max_predictions`: must be at least 1, not 0"),
        ({"replacements": (0.8, 0.1)}, r"`replacements`: must be three probabilities, .* not \(0.8, 0.1\)"),
        ({"replacements": (1.2, -0.2, 0.0)}, r"`replacements`: must be three probabilities, .* not \(1.2, -0.2, 0.0\)"),
        ({"replacements": (0.8, 0.1, 0.0)}, r"`replacements`: the probabilities must add up to 1, not to 0.9"),
    ],
)
def test_a_rule_out_of_range_is_refused(values, message):
    with pytest.raises(kbs.UserError, match=message):
        MaskingRule(**values)


# --- what stands where


@pytest.mark.parametrize("unit", UNITS)
def test_labels_are_the_original_tokens_and_the_rest_is_untouched(many_rows, vocabulary, unit):
    ids, mask = many_rows
    result = masked(many_rows, vocabulary, MaskingRule(unit=unit))
    assert [result[name].dtype for name in ("token_ids", "mask_positions", "mask_ids")] == [np.int32] * 3
    assert result["mask_weights"].dtype == np.float32
    max_predictions = result["mask_positions"].shape[1]
    for row, positions in enumerate(map(list, chosen_in(result)[:400])):
        assert positions == sorted(set(positions))
        assert mask[row, positions].all()
        assert not np.isin(ids[row, positions], [vocabulary.cls_id, vocabulary.sep_id]).any()
        unused = [0] * (max_predictions - len(positions))
        assert result["mask_positions"][row].tolist() == positions + unused
        assert result["mask_ids"][row].tolist() == ids[row, positions].tolist() + unused
        others = np.setdiff1d(np.arange(40), positions)
        np.testing.assert_array_equal(result["token_ids"][row, others], ids[row, others])


@pytest.mark.parametrize("unit", UNITS)
def test_eighty_ten_ten(many_rows, vocabulary, unit):
    ids, _ = many_rows
    result = masked(many_rows, vocabulary, MaskingRule(unit=unit))
    counts = result["mask_weights"] == 1
    rows = np.repeat(np.arange(len(ids)), counts.sum(1))
    positions = result["mask_positions"][counts]
    saw, original = result["token_ids"][rows, positions], ids[rows, positions]
    chosen, words = len(original), len(vocabulary)
    # A random token is by chance the same one, or [MASK] itself, once in `words`.
    assert near((saw == vocabulary.mask_id).sum(), chosen, 0.8 + 0.1 / words)
    assert near((saw == original).sum(), chosen, 0.1 + 0.1 / words)
    replaced = saw[(saw != original) & (saw != vocabulary.mask_id)]
    # Every token of the vocabulary comes up as a replacement, none far more often than the others.
    often = np.bincount(replaced, minlength=words)
    assert often.max() < len(replaced) / words + 6 * np.sqrt(len(replaced) / words) + 2


PAPERS_REPLACEMENTS = [(1, 0, 0), (0.8, 0, 0.2), (0.8, 0.2, 0), (0, 0.8, 0.2), (0, 1, 0)]  # appendix C.2


@pytest.mark.parametrize("replacements", [*PAPERS_REPLACEMENTS, (0, 0, 1), (0.5, 0.25, 0.25)])
def test_other_replacements(many_rows, vocabulary, replacements):
    """Which tokens are chosen stays the same."""
    ids, _ = many_rows
    result = masked(many_rows, vocabulary, MaskingRule(replacements=replacements))
    rows, counts = np.nonzero(result["mask_weights"])
    positions = result["mask_positions"][rows, counts]
    saw, original = result["token_ids"][rows, positions], ids[rows, positions]
    becomes_mask, becomes_random, stays = replacements
    by_chance = becomes_random / len(vocabulary)  # a random token is [MASK], or the same one
    assert near((saw == vocabulary.mask_id).sum(), len(saw), becomes_mask + by_chance)
    assert near((saw == original).sum(), len(saw), stays + by_chance)
    np.testing.assert_array_equal(result["mask_positions"], masked(many_rows, vocabulary)["mask_positions"])


def test_the_papers_sentence():
    """my dog is hairy (Devlin et al. 2019, appendix A.1): hairy is always asked for, and seen as in the paper."""
    words = kbs.Vocabulary((*SPECIAL_TOKENS, "my", "dog", "is", "hairy", *(f"apple{n}" for n in range(91))))
    sentence = [words.id(token) for token in ("[CLS]", "my", "dog", "is", "hairy", "[SEP]")]
    result = masked(repeated(sentence, 40000), words)
    asked = result["mask_positions"][:, 0] == 4  # one token of four, alike often
    assert near(asked.sum(), 40000, 1 / 4)
    assert set(result["mask_ids"][asked, 0].tolist()) == {words.id("hairy")}
    assert (result["token_ids"][asked, :4] == sentence[:4]).all()
    seen = collections.Counter(words.tokens[number] for number in result["token_ids"][asked, 4].tolist())
    assert near(seen["[MASK]"], asked.sum(), 0.8 + 0.1 / len(words))
    assert near(seen["hairy"], asked.sum(), 0.1 + 0.1 / len(words))
    assert near(sum(count for token, count in seen.items() if token.startswith("apple")), asked.sum(), 0.1 * 0.91)


def test_the_replacement_is_drawn_for_every_token():
    """The two pieces of a word are hidden both, or one, or none, as two throws would have it."""
    rows = repeated([2, 5, 6, 3], 20000)
    result = masked(rows, WORDS, MaskingRule(0.5, "words"))
    hidden = (result["token_ids"][:, 1:3] == WORDS.mask_id).sum(1)
    fraction = 0.8 + 0.1 / len(WORDS)
    for number, expected in enumerate([(1 - fraction) ** 2, 2 * fraction * (1 - fraction), fraction**2]):
        assert near((hidden == number).sum(), 20000, expected)


# --- which


def test_every_place_is_equally_likely(vocabulary):
    result = masked(repeated([vocabulary.cls_id, *[7] * 10, vocabulary.sep_id], 20000), vocabulary)
    often = np.bincount(result["mask_positions"][result["mask_weights"] == 1], minlength=12)
    assert often[0] == often[-1] == 0
    assert all(near(count, 20000, 2 / 10) for count in often[1:-1])


def test_the_pieces_of_a_word_are_chosen_one_by_one():
    """The paper's rule gives partial words no special consideration: of a word of two pieces one is asked for."""
    came = collections.Counter(chosen_in(masked(repeated([2, 5, 6, 5, 3], 20000), WORDS)))
    assert set(came) == {(1,), (2,), (3,)}
    assert all(near(count, 20000, 1 / 3) for count in came.values())


def words_of(ids: np.ndarray, vocabulary: kbs.Vocabulary) -> list[list[int]]:
    """The positions of each word of a row, read token by token."""
    words, inside = [], False
    for position, number in enumerate(ids.tolist()):
        token = vocabulary.tokens[number]
        if token in ("[CLS]", "[SEP]", "[PAD]"):
            inside = False
        elif inside and token.startswith("##"):
            words[-1].append(position)
        else:
            words.append([position])
            inside = True
    return words


@pytest.mark.parametrize("unit", ["words", "ngrams"])
@pytest.mark.parametrize("fraction", [0.15, 0.3])
def test_words_are_whole_and_reach_the_fraction_as_far_as_they_fit(many_rows, vocabulary, unit, fraction):
    ids, mask = many_rows
    of_several_pieces = collections.Counter()
    for row, positions in enumerate(chosen_in(masked(many_rows, vocabulary, MaskingRule(fraction, unit)))):
        left = max(1, round(int(mask[row].sum()) * fraction)) - len(positions)
        assert left >= 0
        for word in words_of(ids[row], vocabulary):
            there = sum(position in positions for position in word)
            assert there == len(word) or (there == 0 and len(word) > left)
            of_several_pieces[there > 0] += len(word) > 1
    assert min(of_several_pieces[True], of_several_pieces[False]) > 1000


def chosen_words(order, sizes, wanted: int) -> frozenset[int]:
    """The rule written out for one row: words in a given order, each with the length of run it would like."""
    chosen: set[int] = set()
    for first, size in zip(order, sizes, strict=True):
        for run in (range(first, first + length) for length in range(size, 0, -1)):
            free = all(word in ROW_WORDS and word not in chosen for word in run)
            if free and sum(len(ROW_WORDS[word]) for word in {*run, *chosen}) <= wanted:
                chosen.update(run)
                break
    return frozenset(chosen)


@pytest.mark.parametrize(
    ("unit", "run_probabilities"),
    [("words", {1: 1.0}), ("ngrams", {1: 6 / 11, 2: 3 / 11, 3: 2 / 11})],
    ids=["words", "ngrams"],
)
@pytest.mark.parametrize("wanted", [1, 2, 3, 5, 7])
def test_words_are_chosen_as_often_as_all_orders_together_say(unit, run_probabilities, wanted):
    expected = collections.Counter()
    orders = list(itertools.permutations(ROW_WORDS))
    for sizes in itertools.product(run_probabilities, repeat=len(ROW_WORDS)):
        for order in orders:
            expected[chosen_words(order, sizes, wanted)] += math.prod(map(run_probabilities.get, sizes)) / len(orders)
    result = masked(repeated(ROW, 20000), WORDS, MaskingRule(wanted / len(ROW), unit))
    came = collections.Counter(chosen_in(result))
    words_at = {tuple(sorted(itertools.chain(*(ROW_WORDS[word] for word in words)))): words for words in expected}
    assert set(came) <= set(words_at)
    assert all(near(came[positions], 20000, expected[words]) for positions, words in words_at.items())


def test_runs_of_words_are_as_long_as_one_over_n_says():
    """Starts have 1, 2, 3 words with the probabilities 6/11, 3/11, 2/11; the row's budget of three ends some of them.

    A run of two and a single word: two first (3/11), or one first and then two or three, of which two fit
    (6/11 * 5/11). Of 1,000 words, two runs touch in one row of 300, far within the bound of five deviations.
    """
    result = masked(repeated([5] * 1000, 5000), WORDS, MaskingRule(0.003, "ngrams"))
    touching = (np.diff(result["mask_positions"], axis=1) == 1).sum(axis=1)
    assert near((touching == 2).sum(), 5000, 2 / 11)
    assert near((touching == 1).sum(), 5000, 3 / 11 + 6 / 11 * 5 / 11)
    assert near((touching == 0).sum(), 5000, 6 / 11 * 6 / 11)


def test_a_piece_behind_a_separator_is_a_word_of_its_own():
    result = masked(repeated([2, 5, 3, 6, 7, 3], 2000), WORDS, MaskingRule(0.4, "words"))
    assert set(chosen_in(result)) == {(1,), (3, 4)}


# --- Google's own code, create_pretraining_data.py of the package bert-tensorflow


@pytest.mark.parametrize(("fraction", "max_predictions"), [(0.15, 20), (0.15, 2), (0.3, 40)])
def test_google_masks_as_many_in_the_same_way(many_rows, vocabulary, fraction, max_predictions):
    ids, mask = (part[:2000] for part in many_rows)
    result = masked((ids, mask), vocabulary, MaskingRule(fraction, max_predictions=max_predictions))
    words, generator = list(vocabulary.tokens), random.Random(0)
    ours, theirs = collections.Counter(), collections.Counter()

    def replacement(saw: str, original: str) -> str:
        return "hidden" if saw == "[MASK]" else "kept" if saw == original else "replaced"

    for row, positions in enumerate(chosen_in(result)):
        original = [words[number] for number in ids[row, : mask[row].sum()]]
        saw, predicted, _ = google.create_masked_lm_predictions(original, fraction, max_predictions, words, generator)
        assert len(predicted) == len(positions)
        ours.update(
            replacement(words[result["token_ids"][row, position]], original[position]) for position in positions
        )
        theirs.update(replacement(saw[position], original[position]) for position in predicted)
    total = ours.total()
    assert total == theirs.total()
    assert ours.keys() == theirs.keys() == {"hidden", "kept", "replaced"}
    for kind, count in ours.items():
        fraction = (count + theirs[kind]) / (2 * total)
        assert abs(count - theirs[kind]) < DEVIATIONS * np.sqrt(2 * total * fraction * (1 - fraction))


# --- purity


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("picked", [[7], [7, 7], [0, 7, 63], range(63, -1, -1)], ids=str)
@pytest.mark.parametrize("padding", [0, 9])
def test_a_rows_masks_are_its_own(many_rows, vocabulary, unit, picked, padding):
    """Alone, twice, among others, in another order, with more padding: a row with its key is masked the same."""
    ids, mask = (part[:64] for part in many_rows)
    rule, keys = MaskingRule(unit=unit, max_predictions=4), rng.random_hash("test", np.arange(64))
    together = masked((ids, mask), vocabulary, rule, keys)
    wider = ((0, 0), (0, padding))
    together["token_ids"] = np.pad(together["token_ids"], wider)
    padded = [np.pad(part[picked], wider) for part in (ids, mask)]
    for name, value in masked(padded, vocabulary, rule, keys[picked]).items():
        np.testing.assert_array_equal(value, together[name][picked], err_msg=name)


def test_neighbouring_keys_have_nothing_in_common():
    """Two of ten positions in each of two rows: 0.4 shared ones on average, with the hypergeometric variance."""
    result = masked(repeated([2, *[5] * 10, 3], 20000), WORDS, keys=np.arange(20000, dtype=np.uint64))
    chosen = [set(positions) for positions in chosen_in(result)]
    shared = sum(len(one & next_one) for one, next_one in zip(chosen[::2], chosen[1::2], strict=True))
    variance = 2 * 0.2 * 0.8 * 8 / 9
    assert abs(shared - 0.4 * 10000) < DEVIATIONS * np.sqrt(10000 * variance)
