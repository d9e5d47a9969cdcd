"""The README is checked against the program."""

import re
import tomllib
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from collector.cli import make_app
from collector.settings.model import Settings
from schemas import documents, message
from tests.support import ROOT

README = (ROOT / "README.md").read_text()


def commands() -> dict[str, set[str]]:
    """Each command with its options; commands of a group are named `group command`."""
    found: dict[str, set[str]] = {}

    def walk(name: str, command: object) -> None:
        inner = getattr(command, "commands", None)
        if inner:
            for child, one in inner.items():
                walk(f"{name} {child}".strip(), one)
        else:
            found[name] = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]

    walk("", get_command(make_app()))
    return found


def test_every_command_is_named() -> None:
    for name in commands():
        assert re.search(rf"`(bgpledger )?{name}\b", README), name


def test_no_option_letter_has_two_meanings() -> None:
    def walk(command: object) -> None:
        for child in getattr(command, "commands", {}).values():
            walk(child)
        options = [option for parameter in command.params for option in parameter.opts]  # type: ignore[attr-defined]
        assert len(options) == len(set(options)), command

    walk(get_command(make_app()))


_OF_OTHERS = {"--strict", "--version", "--sync-on-commit"}
"""Options of other programs: mypy, cargo, secantusd-rs."""


def test_every_option_that_is_named_exists() -> None:
    before = {option for parameter in get_command(make_app()).params for option in parameter.opts}
    known = before.union(*commands().values())
    asking = re.sub(r"^\$ bgpledger shell .*", "", (ROOT / "docs/asking.md").read_text(), flags=re.MULTILINE)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README + asking))
    assert named <= known | _OF_OTHERS


def test_the_configuration_can_be_used() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        Settings.model_validate(tomllib.loads(block))


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("updates", message.Update),
        ("messages", message.Notification),
        ("sessions", documents.Session),
        ("rejects", documents.Reject),
        ("gaps", documents.Gap),
    ],
)
def test_the_documents_in_the_readme_have_the_fields_of_the_models(heading: str, model: type) -> None:
    block = re.search(rf"// {heading}\n\{{\n(.*?)\n\}}", README, re.DOTALL)
    assert block is not None
    keys = set(re.findall(r"^  (\w+):", block[1], re.MULTILINE))
    required = _fields(model)
    assert keys <= required.keys() | {"_id", "v", "collector", "session", "origin_asns"}
    assert {name for name in required if required[name]} - {"key"} <= keys


def _fields(model: Any) -> dict[str, bool]:
    """Each field, and whether every document has it."""
    if is_dataclass(model):
        return {field.name: field.default is MISSING for field in fields(model)}
    return {name: field.is_required() for name, field in model.model_fields.items()}


PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_of_the_project(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        found = (page.parent / target).resolve()
        assert found.exists(), target
        assert found.is_relative_to(ROOT), target


def test_no_file_cites_anything_outside_the_project() -> None:
    """Readers have nothing but the project."""
    beside = ".." + "/shared"
    files = [*PAGES, *(file for folder in ("collector", "schemas", "conf") for file in ROOT.glob(f"{folder}/**/*.*"))]
    assert [
        file for file in files if file.suffix in (".md", ".py", ".toml", ".js") and beside in file.read_text()
    ] == []


def test_the_changelog_follows_keep_a_changelog() -> None:
    """Keep a Changelog: one heading for each version, and below it each kind of change at most once."""
    versions = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]
    assert versions[0].startswith("[Unreleased]")
    for version in versions:
        kinds = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert len(kinds) == len(set(kinds)), version[:20]
        allowed = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
        assert {kind for kind in kinds if not kind.startswith("Upgrading from ")} <= allowed, version[:20]
