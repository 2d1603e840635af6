"""A single path in place of a list of paths counts as one path: it is never read letter by letter."""

from pathlib import Path

import pytest
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.data.corpus.files import source_files
from keras_bert_scratch.data.corpus.sources import read_sentences
from keras_bert_scratch.data.google.files import record_files
from keras_bert_scratch.data.google.reader import GoogleRecords
from keras_bert_scratch.data.google.writer import build_google_examples
from keras_bert_scratch.data.records.build_beam import build_records_with_beam
from keras_bert_scratch.filesystem import path_of


def built(build, corpus, tokenizer, **options):
    """The contents of the files that a build writes, in a folder of its own."""
    directory = f"built-{len(list(Path.cwd().iterdir()))}"
    build(corpus, tokenizer, directory, num_shards=1, **options)
    return [file.read_bytes() for file in sorted(Path(directory).iterdir())]


FUNCTIONS = {
    "source_files": lambda paths, tokenizer: source_files(paths),
    "read_documents": lambda paths, tokenizer: list(kbs.read_documents(paths)),
    "read_sentences": lambda paths, tokenizer: list(read_sentences(paths)),
    "build_records": lambda paths, tokenizer: built(kbs.build_records, paths, tokenizer),
    "build_records_with_beam": lambda paths, tokenizer: built(build_records_with_beam, paths, tokenizer),
    "build_google_examples": lambda paths, tokenizer: built(
        build_google_examples, paths, tokenizer, max_length=32, dupe_factor=1
    ),
    "record_files": lambda paths, tokenizer: record_files(paths),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize("as_given", slow_but([str], [str, Path, path_of]), ids=["str", "Path", "path_of"])
def test_one_path_is_a_list_of_one(function, as_given, corpus, tokenizer):
    assert function(as_given(corpus), tokenizer) == function([corpus], tokenizer)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_one_path_that_is_not_there_is_named_whole(function, tokenizer):
    with pytest.raises(kbs.UserError, match=r"^/none\.txt: "):
        function("/none.txt", tokenizer)


@pytest.mark.parametrize("as_given", [str, Path])
def test_one_file_of_googles_records(as_given, records, tokenizer):
    kbs_records = kbs.PretrainingRecords(records)
    build_google_examples(
        [write(Path("text.txt"), "One day. Two days.\n\nThree days. Four.")], kbs_records.tokenizer, "examples",
        max_length=32, dupe_factor=1,
    )  # fmt: skip
    [file] = record_files("examples")
    assert GoogleRecords(as_given(file), tokenizer).files == [file]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_text_where_texts_are_meant_is_refused():
    with pytest.raises(kbs.UserError, match=r"`texts`: .*a single str"):
        kbs.learn_vocabulary("some text", size=50)
