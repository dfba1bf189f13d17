"""The documentation as a site: `make docs` writes it to docs/site/html.

Sphinx, because its source folder can be the repository itself: the links between README.md, docs/,
data/ and benchmarks/ that work on GitHub are the links of the site, and each is checked.
A new page is one line in PAGES. Nothing is fetched, neither here nor by who reads the pages.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from reference import commands_page, python_page  # noqa: E402  # it lies in HERE

from unetseg.version import __version__  # noqa: E402  # of this checkout, not of one that is installed

# Chapter, then its pages in the order in which they are listed, as seen from the repository.
PAGES: dict[str, list[str]] = {
    "Use": [
        "docs/tutorial",
        "data/README",
        "docs/commands",
        "docs/python",
        "docs/fiji",
        "docs/napari",
        "docs/export",
        "docs/experiments",
        "docs/files",
        "docs/labels",
        "docs/few-labels",
        "docs/coming-from",
        "docs/scale",
        "docs/reliability",
    ],
    "Methods and results": [
        "docs/synthetic",
        "docs/augmentation",
        "docs/network",
        "docs/cells",
        "docs/scores",
        "docs/results",
        "benchmarks/recipe",
    ],
    "Project": ["CHANGELOG"],
}
# Parts of pages that are made from the code, behind what the file itself says.
GENERATED = {"docs/commands": commands_page, "docs/python": python_page}

project = "unetseg"
author = "the authors of unetseg"
project_copyright = author
release = version = __version__
html_title = f"unetseg {__version__}"

root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/*.ipynb", "data/README.md", "benchmarks/*.md"]
exclude_patterns = ["docs/site", "work", "build", ".*"]

extensions = [
    "myst_nb",  # Markdown and notebooks
    "sphinx.ext.autodoc",  # the Python reference
    "sphinx.ext.napoleon",  # its docstrings, in NumPy's style
]
myst_heading_anchors = 4  # links to headings, named as GitHub names them
nb_execution_mode = "off"  # the tutorial is kept with its pictures; its training takes minutes
autodoc_typehints = "none"  # the docstrings say them, with shapes and units
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
highlight_language = "none"  # indented blocks are commands and listings

html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False


def complete(app: Any, page: str, source: list[str]) -> None:
    """Add to a page what is made from the code, and to the front page the table of contents."""
    if page == root_doc:
        for chapter, pages in PAGES.items():
            paths = "\n".join(f"/{path}" for path in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {chapter}\n\n{paths}\n```\n"
    elif page in GENERATED:
        source[0] += GENERATED[page]()


def copy_front_page(app: Any, error: Exception | None) -> None:
    """Give the front page the name under which servers look for it, too."""
    if error is None and app.builder.name == "html":
        front = Path(app.outdir, f"{root_doc}.html")
        front.with_name("index.html").write_bytes(front.read_bytes())


def setup(app: Any) -> dict[str, bool]:
    """Hook in the functions above."""
    app.connect("source-read", complete)
    app.connect("build-finished", copy_front_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
