import numpy as np
import pytest

from keras_bert_scratch.data.records.schema import Documents, decode_documents, encode_documents, token_dtype


@pytest.mark.parametrize(("vocab_size", "width"), [(30522, 2), (65536, 2), (65537, 4)])
def test_a_record_brings_back_the_documents(vocab_size, width):
    dtype = token_dtype(vocab_size)
    assert dtype.itemsize == width
    documents = Documents(np.array([0, 5, vocab_size - 1]), np.array([2, 1]), np.array([1, 1]))
    for before, after in zip(documents, decode_documents(encode_documents(documents, dtype), dtype), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_record_costs_little_more_than_its_ids():
    """Also for short documents: a record holds many."""
    lengths = np.random.default_rng(0).integers(3, 40, 3000)
    documents = Documents(np.zeros(lengths.sum(), int), lengths, np.ones(3000, int))
    assert len(encode_documents(documents, token_dtype(30522))) < 2.3 * lengths.sum()


@pytest.mark.parametrize(
    "wrong",
    [Documents(np.arange(3), np.array([2]), np.array([1])), Documents(np.arange(3), np.array([3]), np.array([2]))],
    ids=["sentences", "documents"],
)
def test_numbers_that_do_not_fit_together_are_refused(wrong):
    with pytest.raises(ValueError, match=r"has 3 ids and 1 sentences, but its lengths add up to"):
        decode_documents(encode_documents(wrong, token_dtype(100)), token_dtype(100))


@pytest.mark.parametrize("foreign", [b"", b"not protobuf", bytes(20)])
def test_another_schema_is_refused(foreign):
    with pytest.raises(ValueError, match="does not match the documents schema"):
        decode_documents(foreign, token_dtype(100))
