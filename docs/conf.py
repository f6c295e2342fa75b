"""Sphinx: docs/ in MyST, the notebooks of examples/ run and shown, the reference made by `generated.py`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generated  # noqa: E402

import neuroprompt  # noqa: E402

os.environ["COLUMNS"] = "80"

project = "neuroprompt"
author = "the neuroprompt authors"
release = version = neuroprompt.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3

# The notebooks run at every build, with an error as the end of it: what they show is what this version does.
nb_execution_mode = "cache"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_output_stderr = "remove"  # progress bars of libraries

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_default_options = {"undoc-members": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "pydata_sphinx_theme"
html_title = "neuroprompt"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["neuroprompt.css"]
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
project_copyright = "the neuroprompt authors; Apache-2.0"


def prepare(_app: Any) -> None:
    """Write what is generated, and bring the notebooks of examples/ with their figures into the tree of pages."""
    generated.write(HERE / "reference" / "generated")
    there = HERE / "tutorials" / "notebooks"
    there.mkdir(exist_ok=True)
    for file in [*(HERE.parent / "examples").glob("*.ipynb"), *(HERE.parent / "examples").glob("*_*_*.png")]:
        shutil.copy2(file, there / file.name)


def docstring(_app: Any, _what: str, _name: str, _value: Any, _options: Any, lines: list[str]) -> None:
    """Our docstrings as reStructuredText."""
    lines[:] = generated.rst(lines)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", prepare)
    app.connect("autodoc-process-docstring", docstring)
