"""Sphinx settings: `make docs` executes every page and fails on a warning."""

from __future__ import annotations

import re

import softgrad

project = "softgrad"
author = "The softgrad developers"
release = version = softgrad.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# Pages. Formulas are written in Unicode, so that a page needs no script from elsewhere.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 2
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
# Pages ask the network for nothing: of an explorer they show the frame, and not the widget.
nb_mime_priority_overrides = [("html", "text/html", 0)]
nb_ipywidgets_js = {}

# The reference, from numpydoc docstrings with two sections of our own.
napoleon_google_docstring = False
napoleon_custom_sections = ["Derivative", "Numerics"]
napoleon_use_rtype = False
napoleon_preprocess_types = False
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "softgrad"
pygments_dark_style = "github-dark"
html_static_path = ["_static"]
html_css_files = ["softgrad.css"]
html_copy_source = False
html_show_search_summary = False  # they are fetched, which files cannot be
html_show_copyright = False


def every_page(app, env, added, changed, removed):
    """Execute all pages in every build: what they print depends on the library's code."""
    return env.found_docs


def escape_formulas(app, what, name, obj, options, lines):
    """Show * and | as they are: docstrings have products and sizes, no emphasis."""
    end = lines.index("Examples") if "Examples" in lines else len(lines)
    for i, line in enumerate(lines[:end]):
        # Every second part stands between backticks.
        parts = re.split(r"(``.*?``|`.*?`)", line)
        parts[::2] = [re.sub(r"([*|])", r"\\\1", part) for part in parts[::2]]
        lines[i] = "".join(parts)


def setup(app):
    app.connect("env-get-outdated", every_page)
    app.connect("autodoc-process-docstring", escape_formulas, priority=400)  # before napoleon
