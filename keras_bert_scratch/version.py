"""The library's version, which every file that it writes also names."""

VERSION = "0.1.0"
WRITTEN_BY = f"keras_bert_scratch {VERSION}"
