"""The documents as a site: `make docs`. The source root is the repository, so links work on the site and on GitHub."""

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
myst_heading_anchors = 4  # the same anchors as on GitHub
suppress_warnings = ["myst.header"]  # a document may begin with a heading of a lower level
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # Keras documents `call` and `get_config` itself
autodoc_typehints = "none"  # the docstrings name the types
autodoc_default_options = {"members": True}
napoleon_use_rtype = False
default_role = "code"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = "keras_bert_scratch"
html_copy_source = False
html_show_search_summary = False  # a page that is opened from disk may not fetch them
html_show_copyright = False
html_show_sphinx = False
