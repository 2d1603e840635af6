"""Versions are loaded and unloaded while others answer."""

import shutil
import types

import pytest

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.serving.server.model_store import ModelStore
from keras_bert_scratch.serving.server.request_error import RequestError


def export(folder, content="good"):
    """A SavedModel with only the files that a store looks at; `load` reads `content`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "variables").write_text(content)
    (folder / "saved_model.pb").write_text(content)


def load(path, name, number):
    content = (path / "variables").read_text()
    if content == "bad":
        raise ValueError("it is damaged\nby somebody")
    return types.SimpleNamespace(content=content, number=number)


def served(store, name="m"):
    return {number: model.content for number, model in store.versions(name).items()}


@pytest.fixture
def base(tmp_path):
    export(tmp_path / "1")
    return tmp_path


def test_the_highest_versions_are_served(base):
    export(base / "2", "better")
    (base / "3").mkdir()  # not yet complete
    (base / "notes").mkdir()
    assert served(ModelStore({"m": base}, load)) == {2: "better"}
    store = ModelStore({"m": base, "alone": base / "1"}, load, keep=2)
    assert served(store) == {1: "good", 2: "better"}
    assert served(store, "alone") == {1: "good"}
    number, model = store.find("m")
    assert (number, model.content, model.number) == (2, "better", 2)
    assert store.find("m", 1)[1].content == "good"


def test_a_version_takes_over_once_its_files_stay_as_they_are(base):
    store = ModelStore({"m": base}, load)
    store.refresh()
    export(base / "2", "ha")  # half-written
    store.refresh()
    assert served(store) == {1: "good"}
    export(base / "2", "better")
    store.refresh()
    assert served(store) == {1: "good"}
    store.refresh()
    assert served(store) == {2: "better"}


def test_a_version_that_cannot_be_loaded_is_tried_again_when_it_changes(base, caplog):
    store, tried = ModelStore({"m": base}, load), []
    store._load = lambda *where: tried.append(where) or load(*where)
    export(base / "2", "bad")
    for _ in range(4):
        store.refresh()
    assert served(store) == {1: "good"}
    assert len(tried) == 1
    assert store.faults == {("m", 2): "it is damaged"}
    assert "m: version 2 is not served: it is damaged" in caplog.text
    export(base / "2", "mended")
    for _ in range(2):
        store.refresh()
    assert served(store) == {2: "mended"}
    assert store.faults == {}


def test_a_fault_is_forgotten_with_its_version(base):
    store = ModelStore({"m": base}, load)
    export(base / "2", "bad")
    for _ in range(2):
        store.refresh()
    assert store.faults
    shutil.rmtree(base / "2")
    store.refresh()
    assert store.faults == {}
    assert served(store) == {1: "good"}


def test_the_step_back_is_to_take_the_newer_version_away(base):
    export(base / "2", "better")
    store = ModelStore({"m": base}, load)
    shutil.rmtree(base / "2")
    store.refresh()
    assert served(store) == {2: "better"}  # until version 1 is loaded
    store.refresh()
    assert served(store) == {1: "good"}


def test_what_is_served_stays_where_its_folder_is_gone(base):
    store = ModelStore({"m": base}, load)
    base.rename(base.with_name("away"))
    for _ in range(2):
        store.refresh()
    assert served(store) == {1: "good"}


def test_a_folder_without_versions_is_loaded_again_when_it_changes(base):
    store = ModelStore({"m": base / "1"}, load)
    export(base / "1", "better")
    for _ in range(2):
        store.refresh()
    assert served(store) == {1: "better"}


def test_what_is_not_there_is_said(base):
    with pytest.raises(UserError, match=r"has no saved_model.pb and no version folders 1, 2\.\.\. with one"):
        ModelStore({"m": base / "nothing"}, load)
    store = ModelStore({"m": base}, load)
    with pytest.raises(RequestError, match="no model is called 'x'; served models: m"):
        store.find("x")
    with pytest.raises(RequestError, match="version 2 of 'm' is not served; served versions: 1"):
        store.find("m", 2)
