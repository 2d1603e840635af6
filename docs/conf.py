"""The documents as a site: `make docs`. The root of the source is the repository, so that links work there and here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "keras_bert_scratch"
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "docs/reference/*.rst",
    "tfrecords/README.md",
    "recipes/README.md",
    "deploy/README.md",
    "experiments/*.md",
    "benchmarks/RESULTS.md",
    "notebooks/*.ipynb",
    "notebooks/README.md",
]
exclude_patterns = [".*", "build", "*.egg-info", "keras_bert_scratch", "tests"]
extensions = [
    "myst_nb",  # Markdown as GitHub reads it, and notebooks
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # docstrings with Args, Raises, Example
    "sphinx_copybutton",
    "navigation",
    "reference",
    "source_pages",
]

nb_execution_mode = "off"  # tests/test_notebooks.py runs them
myst_heading_anchors = 4  # as GitHub names headings
suppress_warnings = ["myst.header"]  # a document may begin below its first level
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # Keras tells in its own documents what `call` and `get_config` are
autodoc_typehints = "none"  # the docstrings tell types
autodoc_default_options = {"members": True}
napoleon_use_rtype = False
default_role = "code"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = "keras_bert_scratch"
html_copy_source = False
html_show_search_summary = False  # which a page that is opened from the disk may not fetch
html_show_copyright = False
html_show_sphinx = False
