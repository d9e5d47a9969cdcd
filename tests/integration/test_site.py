"""docs/ makes a site: every link on it leads somewhere, and a browser loads nothing from other hosts to show it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

_LOADED = re.compile(
    r"<(?:link|script|img|iframe|source|object|embed)\b[^>]*?\b(?:href|src|srcset|data)=\"((?:https?:)?//[^\"]*)"
)
_LOADED_BY_STYLE = re.compile(r"(?:url\(|@import\s*)[\"']?((?:https?:)?//[^\"')]*)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site that `make docs` has made, if `make test` names it; else it is made here in the same way."""
    if named := os.environ.get("SITE"):
        return ROOT / named
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--fresh-env", "--fail-on-warning", "--keep-going"]
    command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_can_be_reached_from_the_first(site: Path) -> None:
    pages = {str(page.relative_to(ROOT / "docs").with_suffix(".html")) for page in (ROOT / "docs").rglob("*.md")}
    reached, waiting = set(), ["index.html"]
    while waiting:
        page = waiting.pop()
        if page in reached or page not in pages:
            continue
        reached.add(page)
        links = re.findall(r'href="([^":#]+\.html)', (site / page).read_text())
        waiting += [str((site / page).parent.joinpath(link).resolve().relative_to(site.resolve())) for link in links]
    assert reached == pages


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css")]
    assert len(files) > 20
    found = {
        (str(file.relative_to(site)), host)
        for file in files
        for pattern in (_LOADED, _LOADED_BY_STYLE)
        for host in pattern.findall(file.read_text())
    }
    assert found == set()


def test_pages_made_from_the_code_are_there(site: Path) -> None:
    assert '<svg class="rooms"' in (site / "architecture.html").read_text()
    documents = (site / "documents.html").read_text()
    assert "made:" not in documents
    assert "a receiver died" in documents
    assert "conf/mongosh/history.js" in (site / "mongosh.html").read_text()
