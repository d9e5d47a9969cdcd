"""Pictures of the pages for README and docs: `python -m tests.http.pictures FOLDER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import sync_playwright

from collector.store import embedded
from tests.http.browsing import serving

Theme = Literal["light", "dark"]
_WIDTH = 1180
_PICTURES: tuple[tuple[str, str, Theme, int], ...] = (
    ("prefix", "/prefix/203.0.113.0/24?event=2026-11-23T18:45:48Z&of=192.0.2.2", "light", 600),
    ("lookup", "/lookup?q=203.0.113.7&at=2026-11-23T18:45:50Z", "dark", 420),
)
"""The name, the page, its theme and the height that is shown."""


def _take(folder: Path, url: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, path, theme, height in _PICTURES:
            page = browser.new_page(base_url=url, color_scheme=theme, viewport={"width": _WIDTH, "height": height})
            page.goto(path, wait_until="networkidle")
            page.screenshot(path=folder / f"{name}.png")
        browser.close()


def main() -> None:
    """Import the demonstration's feed, and take the pictures."""
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory() as place:
        store = asyncio.run(embedded.start(Path(place) / "store"))
        try:
            with serving(Path(place), store.uri, "pictures") as url:
                _take(folder, url)
        finally:
            asyncio.run(store.stop())


if __name__ == "__main__":
    main()
