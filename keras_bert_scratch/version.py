"""The library's version, which is also recorded in configs, manifests and model cards that it writes."""

VERSION = "0.1.0"
WRITTEN_BY = f"keras_bert_scratch {VERSION}"
