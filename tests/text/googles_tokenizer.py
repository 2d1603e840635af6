"""Google's own tokenizer, from the package bert-tensorflow, as the judge of ours."""

from pathlib import Path

from absl import flags
from bert import tokenization

import keras_bert_scratch as kbs

# Its module asks its program's command line about a detail; there is none here.
flags.FLAGS.mark_as_parsed()


def words(text: str, lowercase: bool) -> list[str]:
    """What Google's first half gives, before WordPiece."""
    return tokenization.BasicTokenizer(lowercase).tokenize(text)


class Judge:
    """Google's ids for a vocabulary of ours."""

    def __init__(self, vocabulary: kbs.Vocabulary, lowercase: bool, folder: Path) -> None:
        vocabulary.save(folder / "judge.txt")
        self._tokenizer = tokenization.FullTokenizer(str(folder / "judge.txt"), do_lower_case=lowercase)

    def ids(self, text: str) -> list[int]:
        return self._tokenizer.convert_tokens_to_ids(self._tokenizer.tokenize(text))
