"""Sphinx's configuration: the site from these pages, the notebooks and the docstrings. ``make docs`` builds it."""

from __future__ import annotations

import runpy
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import llmkit

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent

project = "llmkit"
version = release = installed("llmkit")
language = "en"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "*.py"]

html_theme = "furo"
html_title = "llmkit"
html_show_copyright = False

# Notebooks show the outputs that they were saved with: what they show took a model.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.header",  # a notebook may begin its sections with any level
    "mystnb.unknown_mime_type",  # plots are saved as pictures, too
]

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say the types, in words
autodoc_default_options = {
    "members": True,
    "inherited-members": "Exception, BaseException, BaseModel, str, tuple, dict, Sequence, Generic, OSError",
}
napoleon_google_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 90


def setup(app: Sphinx) -> None:
    """Put the pages in place that are made, and have references find the public names."""
    app.connect("config-inited", _make_pages)
    app.connect("missing-reference", _public)


def _make_pages(_app: Sphinx, _config: Any) -> None:
    course = HERE / "notebooks"
    course.mkdir(exist_ok=True)
    for stale in course.glob("*.ipynb"):
        stale.unlink()
    for notebook in (HERE.parent / "notebooks").glob("*.ipynb"):
        text = notebook.read_text(encoding="utf-8").replace("](../docs/", "](../")
        (course / notebook.name).write_text(text, encoding="utf-8")
    page = runpy.run_path(str(HERE / "reference.py"))["page"]()
    (HERE / "reference.md").write_text(page, encoding="utf-8")


def _public(app: Sphinx, env: Any, node: Any, content: Any) -> Any:
    """Have ``llmkit.errors.QueueFull``, which is public as ``llmkit.QueueFull``, lead there."""
    parts = str(node.get("reftarget", "")).split(".")
    place = next((number for number, part in enumerate(parts) if part in llmkit.__all__), None)
    if node.get("refdomain") != "py" or place is None or (parts[0] != "llmkit" and place > 0):
        return None
    target = ".".join(["llmkit", *parts[place:]])
    if target == node["reftarget"]:
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node.get("refdoc", ""), app.builder, node["reftype"], target, node, content)
