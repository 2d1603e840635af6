"""A hub, and a cache of its files, of this test alone."""

import pytest
from hub_server import HubServer
from huggingface_hub import constants

from keras_bert_scratch.hub import snapshot


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = HubServer()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    snapshot._snapshot_of.cache_clear()
    yield server
    snapshot._snapshot_of.cache_clear()
    server.close()
