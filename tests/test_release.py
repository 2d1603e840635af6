"""What users install: a wheel and an sdist, built and tried in a fresh environment; the citation."""

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from animal_documents import write_corpus

from keras_bert_scratch.version import VERSION

ROOT = Path(__file__).parents[1]
# Extras that only this repository's own targets install, not users.
INTERNAL_EXTRAS = {"test", "parity", "docs"}
# Files other than modules that the wheel and the sdist must contain.
PACKAGE_DATA = ("py.typed", "serving/server/page.html", "attention/page.html")


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == VERSION
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    license_name = re.search(r'^license = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert citation["license"] == license_name


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist that `python -m build` builds from the files that git tracks."""
    source, out = tmp_path_factory.mktemp("source") / "clone", tmp_path_factory.mktemp("dist")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, source], check=True)
    [wheel], [sdist] = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.mark.slow
def test_the_files_of_a_release(built):
    wheel, sdist = built
    assert wheel.name == f"keras_bert_scratch-{VERSION}-py3-none-any.whl"
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"keras_bert_scratch/{name}" for name in PACKAGE_DATA} <= names
    assert not [name for name in names if name.split("/")[0] in ("tests", "benchmarks", "experiments", "recipes")]
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "setup.py"} <= inside
    assert {f"keras_bert_scratch/{name}" for name in PACKAGE_DATA} <= inside


@pytest.mark.slow
def test_the_wheel_has_the_extras_that_the_readme_names(built):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    installed = re.search(r"pip install -c constraints\.txt -e '\.\[([\w,]+)\]'", readme)[1].split(",")
    others = re.search(r"Other extras: (.+?)\.\s", readme, re.DOTALL)[1].replace("for `serve`", "")
    named = [*installed, *re.findall(r"`(\w+)`", others)]
    with zipfile.ZipFile(built[0]) as wheel:
        metadata = email.message_from_bytes(wheel.read(f"keras_bert_scratch-{VERSION}.dist-info/METADATA"))
    assert sorted(named) == sorted(set(metadata.get_all("Provides-Extra")) - INTERNAL_EXTRAS)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["wheel", "sdist"])
def test_a_release_works_in_a_fresh_environment(built, form, tmp_path, documents):
    """Installed without constraints, outside the source tree: from text to answers by the command alone."""
    package = built[form == "sdist"]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "fresh"], check=True)
    binaries = tmp_path / "fresh" / "bin"
    subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", package], check=True)
    write_corpus(documents, tmp_path / "text.txt")
    rows = "".join(f"{' '.join(document[0].split()[:6])},{number % 2}\n" for number, document in enumerate(documents))
    (tmp_path / "train.csv").write_text("text,label\n" + rows.replace('"', ""))
    environment = {**os.environ, "PYTHONPATH": ""}

    def keras_bert(*arguments):
        command = [binaries / "keras-bert", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert keras_bert("--version").split()[-1] == VERSION
    keras_bert("vocab", "text.txt", "--size", "150", "--out", "vocab.txt")
    keras_bert("tfrecords", "text.txt", "--vocab", "vocab.txt", "--out", "records")
    keras_bert("pretrain", "records", "--preset", "bert-tiny", "--steps", "2", "--length", "32", "--out", "pretrained")
    keras_bert("finetune", "--init", "pretrained", "--train", "train.csv", "--epochs", "1", "--out", "tuned")
    keras_bert("export", "tuned", "--out", "saved")
    answer = keras_bert("predict", "saved", "the heron")
    assert re.search("[01]", answer)
