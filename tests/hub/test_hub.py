"""Models on a hub, by their addresses: the real `huggingface_hub` against a test server."""

import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands.calls import keras_bert, refused
from hub_server import folder_content
from huggingface_hub import constants
from tasks.glue.glue_data import write_shipped

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import files_to_read, read_checkpoint, write_checkpoint
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.hub import snapshot
from keras_bert_scratch.hub.address import HubAddress
from keras_bert_scratch.progress import ProgressBar

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSIFIER = GOLDEN / "huggingface/BertForSequenceClassification"
TINY = "hf://google/tiny"
# Files that other programs store next to the same weights.
DUPLICATES = {
    **{"flax_model.msgpack": b"flax", "onnx/model.onnx": b"onnx", "rust_model.ot": b"rust", "README.md": b"# Tiny"},
    **{"openvino/openvino_model.bin": b"openvino", ".gitattributes": b"*.bin filter=lfs"},
}


def weights_of(path):
    checkpoint = read_checkpoint(path)
    return checkpoint.architecture, {name: np.asarray(tensor) for name, tensor in checkpoint.weights.items()}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("hf://google/tiny", ("google/tiny", None, "")),
        ("hf://google/tiny/", ("google/tiny", None, "")),
        (Path("hf://google/tiny"), ("google/tiny", None, "")),  # as typer passes it
        ("hf://models/google/tiny", ("google/tiny", None, "")),
        ("hf://google/tiny@v1.0", ("google/tiny", "v1.0", "")),
        ("hf://google/tiny@refs/pr/7", ("google/tiny", "refs/pr/7", "")),
        ("hf://google/tiny@v1.0/some/folder", ("google/tiny", "v1.0", "some/folder")),
        ("hf://google/tiny/some/folder", ("google/tiny", None, "some/folder")),
        ("hf://bert-base-uncased", ("bert-base-uncased", None, "")),
        ("hf://bert-base-uncased@main", ("bert-base-uncased", "main", "")),
    ],
)
def test_an_address_is_read(given, meant):
    found = path_of(given)
    assert isinstance(found, HubAddress)
    assert (found.repository, found._revision, found._inside) == meant
    child = found / "config.json"
    again = path_of(str(child))
    assert (again.repository, again._inside) == (meant[0], f"{meant[2]}/config.json".lstrip("/"))
    assert (again.name, str(again)) == ("config.json", str(child))


@pytest.mark.parametrize(
    "given",
    ["hf://", Path("hf://"), "hf:///x", "hf://a/b/c@", "hf://a/b@", "hf://@v1", "hf://datasets/a/b", "hf://a//b"],
)
def test_a_bad_address_is_refused(given):
    with pytest.raises(UserError, match=r"^hf:/.*write hf://owner/name"):
        path_of(given)


@pytest.mark.parametrize(
    ("format_", "weights"),
    [
        ("native", ["model.weights.h5"]),
        ("huggingface", ["model.safetensors"]),
        ("sharded", ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]),
        ("google", ["bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.index"]),
        ("keras_hub", ["model.weights.h5"]),
    ],
)
def test_each_format_is_read_as_from_its_folder_and_nothing_else_is_downloaded(hub, folders, format_, weights):
    hub.put("google/tiny", {**DUPLICATES, **folder_content(folders / format_)})
    architecture, expected = weights_of(folders / format_)
    found, arrays = weights_of(TINY)
    assert found == architecture
    assert arrays.keys() == expected.keys()
    assert all(np.array_equal(arrays[name], expected[name]) for name in expected)
    asked = sorted(hub.bodies)
    large = (".safetensors", ".h5", ".index", ".data-00000-of-00001")
    assert [name for name in asked if name.endswith(large)] == sorted(weights)
    assert not set(asked) & DUPLICATES.keys()
    assert len(asked) == len(set(asked))
    assert kbs.BertTokenizer.load(TINY).vocabulary == kbs.BertTokenizer.load(folders / format_).vocabulary


@pytest.mark.parametrize(
    "folder",
    ["huggingface_tf/classification", "google", "model_garden/saved_model", "model_garden/encoder_checkpoint"],
)
def test_a_copy_of_the_files_that_are_read_is_the_model(folder):
    for name in files_to_read(GOLDEN / folder):
        Path("copy", name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(GOLDEN / folder / name, Path("copy", name))
    architecture, expected = weights_of(GOLDEN / folder)
    found, arrays = weights_of("copy")
    assert found == architecture
    assert all(np.array_equal(arrays[name], expected[name]) for name in expected)


def test_the_best_of_several_formats_is_taken(hub):
    torch, keras = {"pytorch_model.bin": b"torch"}, folder_content(GOLDEN / "huggingface_tf/classification")
    hub.put("google/tiny", {**keras, **torch, **folder_content(CLASSIFIER)})
    assert kbs.BertTextClassifier.from_pretrained(TINY).num_classes == 3
    hub.put("google/old", {**keras, **DUPLICATES})
    assert read_checkpoint("hf://google/old").architecture == "BertTextClassifier"
    assert hub.bodies == ["config.json", "model.safetensors", "config.json", "tf_model.h5"]
    hub.put("google/torch", {**keras, **torch})
    with pytest.raises(UserError, match=r"hf://google/torch/pytorch_model\.bin"):
        read_checkpoint("hf://google/torch")
    assert hub.bodies[4:] == ["config.json", "pytorch_model.bin"]


def test_logits_are_those_of_the_folder(hub):
    hub.put("google/tiny", CLASSIFIER)
    expected = np.load(CLASSIFIER / "expected.npz")
    here, there = (kbs.BertTextClassifier.from_pretrained(path) for path in (CLASSIFIER, TINY))
    inputs = {name: expected[name] for name in ("token_ids", "segment_ids", "padding_mask") if name in expected}
    if not inputs:
        inputs = {name: np.ones((2, 4), np.int32) for name in ("token_ids", "segment_ids", "padding_mask")}
    assert np.array_equal(here(inputs), there(inputs))


def test_a_second_load_asks_for_no_file_and_one_without_a_network_for_nothing(hub, folders, monkeypatch, caplog):
    hub.put("google/tiny", folders / "huggingface")
    _, expected = weights_of(TINY)
    before = len(hub.requests)
    snapshot._snapshot_of.cache_clear()  # as in a new process
    weights_of(TINY)
    asked = [path for _, path, _ in hub.requests[before:]]
    assert len(asked) == 2
    assert all(path.startswith("/api/models/google/tiny") for path in asked)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot._snapshot_of.cache_clear()
    before = len(hub.requests)
    _, arrays = weights_of(TINY)
    assert len(hub.requests) == before
    assert all(np.array_equal(arrays[name], expected[name]) for name in expected)
    assert not caplog.records
    with pytest.raises(UserError, match=r"hf://google/none: is not in the cache .*/hub, and HF_HUB_OFFLINE is set"):
        read_checkpoint("hf://google/none")


def test_without_the_hub_the_cache_answers_and_says_so(hub, folders, monkeypatch, caplog):
    commit = hub.put("google/tiny", folders / "huggingface")
    kbs.BertTokenizer.load(TINY)  # does not request the weights
    assert "model.safetensors" not in hub.bodies
    snapshot._snapshot_of.cache_clear()
    hub.status = {"google/tiny": 503}
    with caplog.at_level(logging.WARNING):
        assert kbs.BertTokenizer.load(TINY).vocabulary.sha256
    assert "the cache is used" in caplog.text
    with pytest.raises(UserError, match=r"holds no model: .*vocab\.txt in the cache, and the hub cannot be reached"):
        read_checkpoint(f"{TINY}@{commit}")


def test_a_cached_file_that_is_too_short_is_downloaded_again(hub, folders):
    hub.put("google/tiny", folders / "huggingface")
    folder = path_of(TINY).fetch(["model.safetensors"])
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").resolve().write_bytes(content[:-8])
    assert read_checkpoint(TINY).architecture == "BertTextClassifier"
    assert (folder / "model.safetensors").read_bytes() == content


def test_bytes_are_shown_as_they_come(hub, folders, monkeypatch):
    shown = []
    monkeypatch.setattr(ProgressBar, "update", lambda bar, done, total, text="": shown.append((done, total)))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.put("google/tiny", folders / "huggingface")
    read_checkpoint(TINY)
    sizes = {name: (folders / "huggingface" / name).stat().st_size for name in set(hub.bodies)}
    done, (total, *others) = [at for at, _ in shown], {of for _, of in shown}
    assert not others
    assert sizes["model.safetensors"] <= total <= sum(sizes.values())  # small files may have been read before
    assert done == sorted(done)
    assert done[-1] == total
    assert len(shown) > 10  # the weights arrive in chunks


@pytest.mark.parametrize("token", [None, "hf_secret"])
def test_a_token_is_sent_only_if_there_is_one_and_never_to_the_other_host(hub, folders, monkeypatch, token):
    hub.put("google/tiny", folders / "huggingface")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
        hub.tokens["google/tiny"] = token
    read_checkpoint(TINY)
    asked = [(path, headers) for _, path, headers in hub.requests if "/api/agent" not in path]
    sent = {path.startswith("/cdn/"): headers.get("Authorization") for path, headers in asked}
    assert sent == {True: None, False: token and f"Bearer {token}"}


def test_a_body_that_breaks_off_is_continued(hub, folders, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    hub.put("google/tiny", folders / "huggingface")
    hub.cut_bodies = 2
    _, arrays = weights_of(TINY)
    assert all(np.array_equal(arrays[name], tensor) for name, tensor in weights_of(folders / "huggingface")[1].items())
    ranges = [headers.get("Range") for _, path, headers in hub.requests if path.startswith("/cdn/")]
    assert ranges[0] is None
    assert all(one.startswith("bytes=") for one in ranges[1:])


def test_a_missing_library_is_named(hub, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"hf://.*pip install 'keras_bert_scratch\[hub\]'"):
        read_checkpoint(TINY)


def test_old_names_revisions_and_folders(hub, folders):
    first = hub.put("google-bert/tiny", folders / "huggingface", revision="v1")
    hub.put("google-bert/tiny", {f"sub/folder/{name}": data for name, data in folder_content(CLASSIFIER).items()})
    hub.renamed = {"tiny": "google-bert/tiny"}
    for address in (f"hf://google-bert/tiny@{first}", "hf://google-bert/tiny@v1", "hf://tiny@v1"):
        assert read_checkpoint(address).label_names == ("no", "yes")
    for address in ("hf://tiny@main/sub/folder", "hf://google-bert/tiny/sub/folder"):
        assert read_checkpoint(address).num_classes == 3


def test_a_hub_is_not_written(hub, folders, small):
    hub.put("google/tiny", folders / "native")
    model = kbs.BertBackbone(small)
    for write in (
        lambda: model.save_pretrained("hf://google/new"),
        lambda: write_checkpoint(read_checkpoint(folders / "native"), "hf://google/new", "huggingface"),
        lambda: (path_of(TINY) / "config.json").write_bytes(b""),
        lambda: (path_of(TINY) / "config.json").open("wb"),
    ):
        with pytest.raises(UserError, match="a hub cannot be written to; write into a folder, then upload"):
            write()
    assert not [method for method, _, _ in hub.requests if method not in ("GET", "HEAD")]


def test_commands_take_addresses(hub, folders):
    hub.put("google/tiny", {**folder_content(folders / "huggingface"), **DUPLICATES})
    assert "BertTextClassifier, Hugging Face" in keras_bert("inspect", TINY).output
    assert f"{TINY}: Hugging Face" in keras_bert("convert", TINY, "there", "--to", "native").output
    asked = set(hub.bodies)
    assert not asked & DUPLICATES.keys()
    refused("inspect", "hf://google/none", saying="hf://google/none: the hub has no such repository")
    refused("predict", "hf://", "text", saying="hf://: is not a valid address of a model")
    Path("new.csv").write_text("text,label\na cat,yes\na dog,no\n")
    refused("finetune", "--init", TINY, "--train", "new.csv", "--out", "hf://me/new", saying="a hub cannot be written")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", TINY, "A heron sleeps."),
        ("evaluate", TINY, "--data", "new.csv"),
        ("attend", TINY, "A heron sleeps.", "--out", "made.html"),
        ("finetune", "--init", TINY, "--train", "new.csv", "--out", "made", "--length", "16", "--epochs", "1"),
        ("distill", "--teacher", TINY, "--student", TINY, "--text", "new.csv", "--out", "made", "--length", "16"),
        ("glue", "--init", TINY, "--data", "glue", "--out", "made", "--length", "16", "--epochs", "1"),
        (
            *("finetune", "--task", "translation", "--init", TINY, "--decoder-init", "hf://google/decoder"),
            *("--train", "new.csv", "--text-column", "text", "--label-column", "label"),
            *("--out", "made", "--length", "16", "--epochs", "1"),
        ),
        ("search", TINY, "a heron", "--data", "new.csv"),
        ("export", TINY, "--out", "made", "--row-lengths", "16"),
        ("tfrecords", "new.txt", "--vocab", f"{TINY}/vocab.txt", "--out", "made"),
        ("pretrain", "records", "--init", TINY, "--steps", "1", "--batch", "8", "--length", "16", "--out", "made"),
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
def test_each_command_takes_an_address(hub, folders, tokenizer, documents, arguments):
    hub.put("google/tiny", folders / "huggingface")
    hub.put("google/decoder", folders / "huggingface")
    Path("new.csv").write_text("text,label\n" + "a cat,yes\na dog,no\n" * 4)
    Path("new.txt").write_text("\n\n".join("\n".join(document) for document in documents))
    kbs.build_records(["new.txt"], tokenizer, "records")
    write_shipped(Path("glue"), "CoLA", "01101001")
    result = keras_bert(*arguments)
    assert result.exit_code == 0, result.output
    for repository in re.findall(r"hf://(\w+/\w+)", " ".join(arguments)):
        assert any(repository in path for _, path, _ in hub.requests)


@pytest.mark.slow
def test_an_exported_model_answers_from_a_hub(hub, small, tokenizer):
    model = kbs.BertTextClassifier(kbs.BertBackbone(small), num_classes=2, label_names=("no", "yes"))
    tuned = kbs.FineTuned(model, tokenizer, kbs.Spec("classification", ("text",), 8, ("no", "yes")))
    kbs.export_saved_model(tuned, "saved", row_lengths=(8,), warm_up=False)
    hub.put("google/saved", "saved")
    texts = {"text": ["a cat", "a dog"]}
    assert kbs.predict("hf://google/saved", texts) == kbs.predict("saved", texts)
