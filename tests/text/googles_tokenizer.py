"""Google's own tokenizer, from the package bert-tensorflow, as the reference for ours."""

from pathlib import Path

from absl import flags
from bert import tokenization

import keras_bert_scratch as kbs
from keras_bert_scratch.text.word_rules import WordRules

# Google's module reads a flag of its program's command line; there is no command line here.
flags.FLAGS.mark_as_parsed()


def words(text: str, lowercase: bool) -> list[str]:
    """The words of Google's first stage, before WordPiece."""
    return tokenization.BasicTokenizer(lowercase).tokenize(text)


def words_by_rules(text: str, rules: WordRules) -> list[str]:
    """The same with rules that Google's code does not offer, built from its parts."""
    parts = tokenization.BasicTokenizer()
    text = parts._clean_text(tokenization.convert_to_unicode(text))
    if rules.tokenize_chinese_chars:
        text = parts._tokenize_chinese_chars(text)
    found = []
    for token in tokenization.whitespace_tokenize(text):
        token = token.lower() if rules.lowercase else token
        token = parts._run_strip_accents(token) if rules.strip_accents else token
        found += parts._run_split_on_punc(token)
    return tokenization.whitespace_tokenize(" ".join(found))


class Judge:
    """Google's ids for a vocabulary of ours."""

    def __init__(self, vocabulary: kbs.Vocabulary, lowercase: bool, folder: Path) -> None:
        vocabulary.save(folder / "judge.txt")
        self._tokenizer = tokenization.FullTokenizer(str(folder / "judge.txt"), do_lower_case=lowercase)

    def ids(self, text: str) -> list[int]:
        return self._tokenizer.convert_tokens_to_ids(self._tokenizer.tokenize(text))
