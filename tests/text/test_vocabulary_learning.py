import itertools
import random
import subprocess
import sys

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS
from keras_bert_scratch.text.vocabulary_learning import count_words, learn_pieces


def plain_pieces(word_counts: dict[str, int], size: int) -> list[str]:
    """The same rule without any bookkeeping: count all pairs anew before each join."""
    words = {word: [word[0], *("##" + c for c in word[1:])] for word in word_counts}
    pieces = sorted({piece for spelled in words.values() for piece in spelled})
    while len(pieces) < size:
        counts: dict[tuple[str, str], int] = {}
        for word, spelled in words.items():
            for pair in itertools.pairwise(spelled):
                counts[pair] = counts.get(pair, 0) + word_counts[word]
        if not counts or max(counts.values()) < 2:
            return pieces
        a, b = min(counts, key=lambda pair: (-counts[pair], pair))
        joined = a + b.removeprefix("##")
        if joined not in pieces:
            pieces.append(joined)
        for word, spelled in words.items():
            again = []
            for piece in spelled:
                if again and (again[-1], piece) == (a, b):
                    again[-1] = joined
                else:
                    again.append(piece)
            words[word] = again
    return pieces


@pytest.mark.parametrize("seed", range(5))
def test_learning_joins_the_most_frequent_pair(seed):
    rng = random.Random(seed)
    words = {"".join(rng.choices("abcd", k=rng.randint(1, 9))): rng.randint(1, 20) for _ in range(60)}
    assert learn_pieces(words, 60) == plain_pieces(words, 60)


def test_learning_gives_special_tokens_first_and_the_size_asked_for(documents):
    sentences = [sentence for document in documents for sentence in document]
    vocabulary = kbs.learn_vocabulary(sentences, size=120)
    assert vocabulary.tokens[:5] == SPECIAL_TOKENS
    assert len(vocabulary) == 120
    assert 1 not in kbs.BertTokenizer(vocabulary).tokenize(sentences).flat_values.numpy()  # no [UNK]


@pytest.mark.slow
def test_learning_is_the_same_in_another_process(documents, vocabulary, tmp_path):
    """Python hashes strings anew in every process; the result may not depend on it."""
    (tmp_path / "text").write_text("\n".join(sentence for document in documents for sentence in document))
    script = "import keras_bert_scratch as k; print(k.learn_vocabulary(open('text'), 150).sha256)"
    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert seen.split()[-1] == vocabulary.sha256


@pytest.mark.parametrize(
    ("texts", "size", "named"),
    [([], 100, "contains no words"), (["abcdefgh"], 10, "`size`: .* 13"), (iter(()), 5, "`size`: must be more")],
    ids=["empty", "small", "none"],
)
def test_learning_from_nothing_is_refused(texts, size, named):
    with pytest.raises(kbs.UserError, match=named):
        kbs.learn_vocabulary(texts, size)


def test_counting_forgets_rare_words_only():
    """A few frequent words in a stream of words that occur once: the memory is bounded, and their counts stay right."""
    texts = [f"river meadow {'x' * 50}{number}" for number in range(60_000)]
    counts = count_words(iter(texts), lowercase=True, max_words=5_000)
    assert (counts["river"], counts["meadow"]) == (60_000, 60_000)
    assert len(counts) < 5_000 + 40_000  # the words that are kept, and those of the last batch
    assert count_words(iter(texts), lowercase=True, max_words=5_000) == counts
    assert len(count_words(texts[:1000], lowercase=True)) == 1002
