"""Failures between a hub and this machine: one line names the remedy, and nothing damaged is read."""

import shutil
from pathlib import Path

import hf_xet
import huggingface_hub
import pytest
from hub_server import folder_content
from huggingface_hub import close_session, constants

from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.hub import snapshot
from keras_bert_scratch.tasks.spec import Spec

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSIFIER = GOLDEN / "huggingface/BertForSequenceClassification"
TINY = "hf://google/tiny"


@pytest.fixture
def own_session():
    """Connections that no other test uses: `huggingface_hub` reads the proxies when it opens the first one."""
    close_session()
    yield
    close_session()


def fail_at(monkeypatch, name, error):
    """The download of the file `name` raises `error`."""
    download = huggingface_hub.hf_hub_download

    def downloaded(repository, file, **options):
        if file == name:
            raise error
        return download(repository, file, **options)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", downloaded)


@pytest.mark.parametrize(
    ("fault", "saying"),
    [
        ({"cut_bodies": 99}, r"model\.safetensors: the download was interrupted; run again"),
        ({"short": True}, r"model\.safetensors: the download was interrupted; run again"),
        ({"damaged": True}, r"model\.safetensors is damaged: its SHA-256 differs from the hub's; run again"),
    ],
)
def test_a_broken_download_leaves_nothing_that_is_read(hub, folders, monkeypatch, fault, saying):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.put("google/tiny", folders / "huggingface")
    vars(hub).update(fault)
    with pytest.raises(UserError, match=rf"^{TINY}: {saying}"):
        read_checkpoint(TINY)
    vars(hub).update(cut_bodies=0, damaged=False, short=False)
    assert read_checkpoint(TINY).architecture == "BertTextClassifier"


@pytest.mark.parametrize(
    ("address", "saying"),
    [
        ("hf://google/none", "the hub has no such repository; check the name, or, if it is private, set HF_TOKEN"),
        ("hf://none", "the hub has no such repository"),
        ("hf://google/private", "the hub has no such repository"),
        ("hf://google/gated", "^hf://google/gated: config.json: is gated; accept its terms on its hub page"),
        ("hf://google/tiny@v9", "the repository has no such revision; give a branch, a tag or a commit"),
        ("hf://google/tiny/v9", "no such folder"),
        ("hf://google/a--b..c", "is not a valid name of a repository"),
        ("hf://google/other", "holds no model: .* but model_index.json, unet; give the folder of a model"),
        (
            "hf://google/flax",
            r"holds no model\.safetensors, .* but config\.json, flax_model\.msgpack; copy",
        ),
        ("hf://google/roberta", r"/config\.json: model_type .*roberta"),
        ("hf://google/shards", r"/model-00002-of-00002\.safetensors: is missing, damaged or cut short"),
        ("hf://google/busy", r"the hub received too many requests \(429\); wait a few minutes, or set HF_TOKEN"),
        ("hf://google/forbidden", r"access is forbidden \(403\)"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_the_mend(hub, folders, address, saying):
    config = (CLASSIFIER / "config.json").read_bytes()
    hub.put("google/tiny", folders / "huggingface")
    hub.put("google/gated", folders / "huggingface")
    hub.put("google/private", folders / "huggingface")
    hub.put("google/other", {"model_index.json": b"{}", "unet/config.json": b"{}"})
    hub.put("google/flax", {"config.json": config, "flax_model.msgpack": b"flax"})
    hub.put("google/roberta", {**folder_content(CLASSIFIER), "config.json": b'{"model_type": "roberta"}'})
    shards = folder_content(folders / "sharded")
    hub.put("google/shards", {name: data for name, data in shards.items() if "00002-of" not in name})
    hub.put("google/busy", {})
    hub.put("google/forbidden", {})
    hub.tokens = {"google/private": "hf_other", "google/gated": "hf_other"}
    hub.gated = {"google/gated"}
    hub.status = {"google/busy": 429, "google/forbidden": 403}
    with pytest.raises(UserError, match=saying) as refusal:
        read_checkpoint(address)
    assert str(refusal.value).startswith("hf://")
    assert "\n" not in str(refusal.value)
    assert "(hf://" not in str(refusal.value)  # one error, not an error that quotes another


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (read_checkpoint, "config.json"),
        (read_checkpoint, "vocab.txt"),
        (read_checkpoint, "tokenizer_config.json"),
        (read_checkpoint, "run.json"),
        (Spec.load, "task.json"),
        (lambda address: BertConfig.load(f"{address}/bert_config.json"), "bert_config.json"),
    ],
)
def test_a_file_that_the_hub_refuses_is_not_said_to_be_damaged(hub, folders, read, name):
    hub.put("google/tiny", {name: b"{}", **folder_content(folders / "huggingface")})
    hub.status = {f"/{name}": 403}
    with pytest.raises(UserError, match=rf"^{TINY}: {name}: access is forbidden \(403\); use a token that may read it"):
        read(TINY)


@pytest.mark.parametrize(
    ("endpoint", "proxy", "saying"),
    [
        ("http://127.0.0.1:9", None, r"http://127.0.0.1:9 cannot be reached \(ConnectError: .*check the network"),
        ("hub.example", None, r"hub\.example cannot be reached \(UnsupportedProtocol: .*and HF_ENDPOINT$"),
        ("https://hub.example", "{hub}", r"https://hub\.example cannot be reached \(ProxyError: .*check the network"),
        (
            None,
            "ftp://a.proxy",
            r"cannot be used as a hub \(Unknown scheme for proxy .*check HF_ENDPOINT and HTTPS_PROXY",
        ),
    ],
)
@pytest.mark.parametrize("is_resolved", [False, True])
@pytest.mark.usefixtures("own_session")
def test_a_hub_that_is_not_there(hub, monkeypatch, endpoint, proxy, saying, is_resolved):
    if is_resolved:  # the cache holds the commit, but no files
        commit = hub.put("google/tiny", {"config.json": b"{}"})
        (place := Path(constants.HF_HUB_CACHE, "models--google--tiny/refs")).mkdir(parents=True)
        (place / "main").write_text(commit)
    if endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
    if proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.format(hub=hub.endpoint))
    with pytest.raises(UserError, match=rf"^hf://google/tiny: .*{saying}"):
        read_checkpoint(TINY)


def test_a_server_that_is_not_a_hub(hub, monkeypatch):
    monkeypatch.setattr(hub, "answer", lambda request: hub.send(request, 200, b"<html>"))
    with pytest.raises(UserError, match=r"^hf://google/tiny: http://.* cannot be used as a hub \(Expecting value: "):
        read_checkpoint(TINY)


@pytest.mark.parametrize(
    ("error", "saying"),
    [
        (
            RuntimeError("Task error: CAS Client Error\nmore"),
            r"interrupted \(Task error: CAS Client Error\); run ",
        ),
        (hf_xet.XetAuthenticationError("no token"), r"interrupted \(no token\); run again"),
        (hf_xet.XetObjectNotFoundError("no chunk"), r"interrupted \(no chunk\); run again"),
    ],
)
def test_an_interrupted_transfer_of_a_large_file(hub, folders, monkeypatch, error, saying):
    hub.put("google/tiny", folders / "huggingface")
    fail_at(monkeypatch, "model.safetensors", error)
    with pytest.raises(UserError, match=rf"^{TINY}: model\.safetensors: the download was {saying}"):
        read_checkpoint(TINY)


def test_a_transfer_onto_a_full_disk(hub, folders, monkeypatch):
    hub.put("google/tiny", folders / "huggingface")
    fail_at(monkeypatch, "model.safetensors", RuntimeError("Task error: No space left on device (os error 28)"))
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(snapshot.Snapshot, "_check_space", lambda self, size: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    with pytest.raises(UserError, match="the disk is full"):
        read_checkpoint(TINY)


def test_a_full_disk(hub, folders, monkeypatch):
    hub.put("google/tiny", folders / "huggingface")
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=20_000))
    with pytest.raises(UserError, match=r"needs 0.03 MB, and the disk of .*/hub has 0.02 MB left; .*HF_HUB_CACHE"):
        read_checkpoint(TINY)
    assert "model.safetensors" not in hub.bodies


def test_a_disk_that_fills_while_it_is_written(hub, folders, small_disk, monkeypatch):
    hub.put("google/tiny", {**folder_content(folders / "huggingface"), "model.safetensors": bytes(1 << 20)})
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(small_disk / "hub"))
    monkeypatch.setattr(snapshot.Snapshot, "_check_space", lambda self, size: None)  # it was free when checked
    with pytest.raises(UserError, match="the disk is full"):
        read_checkpoint(TINY)
