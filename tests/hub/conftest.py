"""A model in every format to upload."""

import json
import shutil

import pytest
import safetensors.numpy

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint


@pytest.fixture(scope="session")
def folders(tmp_path_factory, small, tokenizer):
    """The same model in every format that this library writes, and in others'."""
    place = tmp_path_factory.mktemp("formats")
    model = kbs.BertTextClassifier(kbs.BertBackbone(small), num_classes=2, label_names=("no", "yes"))
    model.save_pretrained(place / "native", tokenizer)
    for to in ("huggingface", "google", "keras_hub"):
        write_checkpoint(read_checkpoint(place / "native"), place / to, to)
    shutil.copytree(place / "huggingface", place / "sharded")
    whole = place / "sharded" / "model.safetensors"
    tensors = safetensors.numpy.load_file(whole)
    whole.unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    weight_map = {name: names[number % 2] for number, name in enumerate(sorted(tensors))}
    for file in names:
        held = {name: tensors[name] for name in tensors if weight_map[name] == file}
        safetensors.numpy.save_file(held, place / "sharded" / file)
    (place / "sharded/model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return place
