"""Search: the texts of a file that are nearest to a query, by the cosine of their embeddings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.progress import ProgressBar
from keras_bert_scratch.serving.inference import load
from keras_bert_scratch.tasks.data.numbered_texts import LINE, numbered_texts
from keras_bert_scratch.tasks.data.texts import TEXT, Source
from keras_bert_scratch.tasks.embedding_files import (
    VECTORS,
    Block,
    EmbeddingIndex,
    digest_of,
    embeddings_file,
)
from keras_bert_scratch.tasks.nearest import Hit, Nearest

BLOCK_ROWS = 1024


def search(
    model: AnyPath | str,
    queries: str | Sequence[str],
    data: Source | None = None,
    top: int = 5,
    index: AnyPath | str | None = None,
    header_names: Mapping[str, str] | None = None,
    on_bad_row: str = "fail",
    dtype: str | None = None,
    **prediction_options: Any,
) -> list[list[Hit]]:
    """Finds the texts nearest to each query, by cosine; a repeated text is one hit, with its number of occurrences.

    The file is streamed, so memory use is constant. It is read twice: the first pass counts and checks the texts.

    Args:
        model: path. A model of any class in any known format, or a SavedModel exported for `embed`.
        queries: str, or list of str. What to search for.
        data: path or mapping. Texts, one per line, or a table; not needed if `index` exists.
        top: int, default 5. Maximum number of texts to return for each query.
        index: path or None, default None. The `.npz` file of the texts' embeddings; created if it does not exist.
        header_names: mapping or None, default None. The table's name of the column, such as `{"text": "review"}`.
        on_bad_row: str, default "fail". `"fail"`, or `"skip"` to skip bad rows and count them.
        dtype: str or None, default None. Of the matrix products, as in `kbs.predict`.
        prediction_options: options of `embed`, such as `pooling="max"`.

    Returns: the hits of each query, the best first: `score`, `line`, `text`, `count`.

    Raises:
        UserError: the model does not give one vector per text, a text cannot be read, or the index was made with
            another model or from other texts.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> backbone = BertBackbone(BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2))
        >>> backbone.save_pretrained("model", BertTokenizer(vocabulary))
        >>> [hits] = search("model", ["playing"], {"text": ["play", "playing", "play"]}, top=2)
        >>> [(hit.text, hit.line, hit.count) for hit in hits]
        [('playing', 2, 1), ('play', 1, 2)]
    """
    if top < 1:
        raise UserError(f"`top`: must be at least 1, not {top}")
    queries = [queries] if isinstance(queries, str) else list(queries)
    if not queries or not all(query.strip() for query in queries):
        raise UserError("`queries`: give texts to search for, none of them empty")
    if index is not None and not str(index).lower().endswith(".npz"):
        raise UserError(f"`index`: {index} must end in .npz")
    has_index = index is not None and path_of(index).exists()
    if data is None and not has_index:
        raise UserError("`data`: give a file to search, or an existing `index`")

    def rows() -> Iterator[dict[str, Any]]:
        return numbered_texts(data, header_names or {}, on_bad_row)

    # Errors in the texts must be reported now, not after the model has run for hours.
    digest, count = digest_of(rows()) if data is not None else ("", 0)
    saved = EmbeddingIndex(index) if has_index else None
    embedder = load(model, "embed", prediction_options, dtype)
    found = np.array([answer.get(VECTORS, 0) for answer in embedder.predict({TEXT.name: queries})], np.float32)
    if found.ndim != 2:
        raise UserError(
            "`pooling`, `layers`: search needs one vector per text; choose mean, cls or max, and a single layer"
        )
    if saved is None and index is not None:
        with embeddings_file(index, embedder.digest) as write:
            for row, answer in _with_progress(embedder, rows(), count):
                write(row, answer)
        saved = EmbeddingIndex(index)
    if saved is not None:
        _check_index(saved, embedder.digest, digest)
        blocks = saved.blocks()
    else:
        blocks = _blocks(_with_progress(embedder, rows(), count))
    nearest = Nearest(found, top)
    for block in blocks:
        nearest.add(*block)
    return nearest.hits


def _check_index(index: EmbeddingIndex, model: str, texts: str) -> None:
    fix = "delete it, or give another file"
    if index.about["model"] != model:
        raise UserError(f"{index.path}: was made with another model, or with other options; {fix}")
    if texts and index.about["texts"] != texts:
        raise UserError(f"{index.path}: was made from other texts than those in `data`; {fix}")


def _with_progress(embedder: Any, rows: Iterator[dict[str, Any]], count: int) -> Iterator[Any]:
    with ProgressBar("embedding", "texts") as bar:
        yield from embedder.predict_stream(rows, bar.counter(count))


def _blocks(answered: Iterator[Any]) -> Iterator[Block]:
    while some := list(itertools.islice(answered, BLOCK_ROWS)):
        vectors = np.array([answer[VECTORS] for _, answer in some], np.float32)
        yield Block([row[TEXT.name] for row, _ in some], [row[LINE] for row, _ in some], vectors)
