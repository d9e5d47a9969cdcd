"""The wheel is complete: it runs with nothing installed but the dependencies that it declares."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def declared(requirements: list[str]) -> dict[str, Distribution]:
    """The dependencies of these distributions, and theirs in turn, by name, without extras."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        if wanted.name in found or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        found[wanted.name] = distribution(wanted.name)
        waiting += [Requirement(text) for text in found[wanted.name].requires or ()]
    return found


def put(found: Distribution, site: Path) -> None:
    """Copy distributions that are installed here to another environment, without downloading them."""
    for file in found.files or ():
        source = Path(str(found.locate_file(file)))
        if ".." not in file.parts and source.is_file():
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel and its declared dependencies."""
    home = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "venv", "--without-pip", home)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    metadata = run(python, "-c", "from importlib.metadata import requires; print(*requires('bgpledger'), sep='\\n')")
    for found in declared(metadata.splitlines()).values():
        put(found, site)
    return home / "bin"


def test_the_installed_program_prints_its_version(installed: Path) -> None:
    assert run(installed / "bgpledger", "--version", cwd=installed).split() == ["bgpledger", VERSION]


def test_every_module_can_be_imported(installed: Path) -> None:
    """None needs what is not declared (a development tool, a file of the checkout), except the one of an extra."""
    code = """if True:
        import importlib, pkgutil, collector, schemas
        for package in (collector, schemas):
            for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
                if found.name != "collector.export.parquet":
                    importlib.import_module(found.name)
                    print(found.name)
    """
    names = run(installed / "python", "-c", code, cwd=installed).split()
    here = [*ROOT.glob("collector/**/*.py"), *ROOT.glob("schemas/**/*.py")]
    assert len(names) == len(here) - 3


def test_it_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {
        "bgpledger",
        "collector",
        "schemas",
        f"bgpledger-{VERSION}.dist-info",
    }
    # PEP 561: type checkers use the annotations of packages with this file.
    assert {"bgpledger/py.typed", "collector/py.typed", "schemas/py.typed"} <= names
    pages = "collector/http/pages"
    assert {f"{pages}/templates/base.html", f"{pages}/static/page.css", f"{pages}/static/page.js"} <= names
    assert {"collector/data/demo.mrt.gz", f"bgpledger-{VERSION}.dist-info/licenses/LICENSE"} <= names


def test_the_newest_version_in_the_changelog_is_this_one() -> None:
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"
    assert headings[1].startswith(f"## [{VERSION}]")
