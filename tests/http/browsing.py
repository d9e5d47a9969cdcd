"""A browser on the pages of a server that answers over the demonstration's feed."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

from tests.running import bgpledger, free_port
from tests.support import ROOT

FEED = ROOT / "collector" / "data" / "demo.mrt.gz"
AXE = ROOT / ".tools" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 120
_PATIENT = f"""
from collector.cli import main
from collector.http.pages import now, prefix, updates, which
now._PATIENCE = updates._PATIENCE = which._PATIENCE = prefix._SECONDS = {PATIENCE}
main()
"""
"""`bgpledger`, whose pages show all that there is, however busy the machine is."""


@contextmanager
def serving(data_dir: Path, uri: str, database: str) -> Iterator[str]:
    """The URL of a server over the feed of the demonstration, in a database of its own."""
    place = ["--data-dir", str(data_dir), "--mongodb-uri", uri]
    done = bgpledger(*place, "import", str(FEED), BGPLEDGER_MONGODB_DATABASE=database)
    assert done.returncode == 0, done.stderr
    with answering(data_dir, uri, database) as url:
        yield url


@contextmanager
def answering(data_dir: Path, uri: str, database: str, **settings: str) -> Iterator[str]:
    """The URL of a server over a database, and a data directory with its tokens."""
    listen = f"127.0.0.1:{free_port()}"
    place = ["--data-dir", str(data_dir), "--mongodb-uri", uri]
    command = [sys.executable, "-c", _PATIENT, *place, "serve", "--listen", listen]
    environment = {**os.environ, "BGPLEDGER_MONGODB_DATABASE": database, **settings}
    with (data_dir / "serve.log").open("wb") as log, subprocess.Popen(command, stderr=log, env=environment) as server:
        try:
            _wait_for(f"http://{listen}/health")
            yield f"http://{listen}"
        finally:
            server.terminate()


def _wait_for(url: str) -> None:
    end = monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(url).close()
            return
        except urllib.error.URLError:
            assert monotonic() < end, f"nothing answers at {url}"
            sleep(0.05)


class Watched:
    """A page, and what went wrong on it."""

    def __init__(self, context: BrowserContext) -> None:
        context.set_default_timeout(1000 * PATIENCE)
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"{self.page.url}: {error}"))
        self.page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{self.page.url}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1":
            self.faults.append(f"{self.page.url} asked for {request.url}")

    def axe(self, *rules: str) -> list[str]:
        """What axe finds on the page, by these of its rules, or by all."""
        if self.page.evaluate("typeof axe") == "undefined":
            self.page.evaluate(AXE.read_text())
        options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
        found = self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{self.page.url}: {one['id']}: {one['help']}: {node['html'][:160]}"
            for one in found["violations"]
            for node in one["nodes"]
        ]
