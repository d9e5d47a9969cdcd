"""How Sphinx makes docs/ into a site: `make docs`.

The pages are Markdown that a forge shows as well. Those of the checkout's top (README, CHANGELOG, ...) are included.
What can be read from the code is made from it: a comment `<!-- made: WHAT -->` on a page says what stands in its place.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.generate import fields, programs, rooms  # noqa: E402

project = "bgpledger"
author = "the bgpledger maintainers"
copyright = "the bgpledger maintainers, Apache-2.0"  # noqa: A001
version = release = installed_version("bgpledger")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["generate"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
default_role = "code"
"""Docstrings are written as for Markdown: one backtick is code."""
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "separated"
autodoc_preserve_defaults = True
autodoc_type_aliases = {name: name for name in ("By", "Filter", "Match", "Progress", "Time", "What")}
python_maximum_signature_line_length = 90
highlight_language = "none"

html_theme = "furo"
html_title = f"bgpledger {version}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_sphinx = False

_PAGES = {
    "README.md": "start.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "conf/mongosh": "mongosh.md",
    "docs/decisions": "decisions/index.md",
    "examples": "examples.md",
}
"""What stands elsewhere in the checkout, and the page that shows it."""
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def lead_within(text: str, folder: Path) -> str:
    """The text of a page that stands in this folder of the checkout, its links to what `_PAGES` shows led there."""

    def lead(link: re.Match[str]) -> str:
        target = (ROOT / folder / link[1]).resolve().relative_to(ROOT)
        if page := _PAGES.get(str(target)):
            return f"](/{page}"
        return f"](/{target.relative_to('docs')}" if target.is_relative_to("docs") else f"](/../{target}"

    return _LINK.sub(lead, text)


@cache
def _rooms() -> list[rooms.Room]:
    whole = [name for name in ("schemas", "bgpledger") if (ROOT / name).exists()]
    return rooms.read_rooms(ROOT, whole, ["collector"])


@cache
def _schemas() -> fields.Schemas:
    return fields.read(sorted((ROOT / "schemas").rglob("*.py")))


_MADE: dict[str, Callable[[], str]] = {
    "picture of rooms": lambda: rooms.draw(_rooms()),
    "table of rooms": lambda: rooms.table(_rooms()),
}


def _make(what: str) -> str:
    if what.startswith("fields of "):
        name, _, without = what.removeprefix("fields of ").partition(" without ")
        return fields.table(_schemas(), name, frozenset(without.split(", ")))
    if what.startswith("programs of "):
        return programs.chapters(ROOT / what.removeprefix("programs of "))
    return _MADE[what]()


def make_page(_app: object, name: str, source: list[str]) -> None:
    """Put what is made from the code into a page, and lead its links within the site."""
    text = re.sub(r"<!-- made: (.+?) -->", lambda found: _make(found[1]), source[0])
    source[0] = lead_within(text, Path("docs", name).parent)


def _read_included(_app: object, path: Path, _page: str, source: list[str]) -> None:
    source[0] = lead_within(source[0], Path("docs", path).parent)


def setup(app: Any) -> None:
    """Let pages be changed as they are read."""
    app.connect("source-read", make_page)
    app.connect("include-read", _read_included)
