"""Generated parts of the docs agree with the code: the picture of its rooms, the fields of its documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import get_args, get_type_hints
from xml.etree import ElementTree as ET

import pytest
from pydantic import BaseModel
from typing_extensions import is_typeddict

from docs import conf
from docs.generate import fields, programs, rooms
from schemas import attributes, documents, message, message_parts, snapshots, stored
from tests.support import ROOT

ROOMS = rooms.read_rooms(ROOT, ["schemas"], ["collector"])
SCHEMAS = fields.read(sorted((ROOT / "schemas").rglob("*.py")))
SVG = "{http://www.w3.org/2000/svg}"


def arrows(**of: str) -> dict[str, frozenset[str]]:
    return {name: frozenset(others.split()) for name, others in of.items()}


def test_rooms_are_folders_and_modules_with_their_imports(tmp_path: Path) -> None:
    for name, text in {
        "kit/__init__.py": "",
        "house/__init__.py": "",
        "house/cellar.py": '"""Wine.\n\nMore of it."""',
        "house/hall/__init__.py": '"""Where guests\nwait."""',
        "house/hall/door.py": "import kit.lock\nfrom house import cellar\nfrom house.hall import mat",
        "house/roof.py": "def f():\n    from house.hall.door import knock",
        "house/data/x.txt": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = rooms.read_rooms(tmp_path, ["kit"], ["house"])
    assert [(room.name, room.is_folder, room.about, set(room.imports)) for room in found] == [
        ("house.cellar", False, "Wine.", set()),
        ("kit", True, "", set()),
        ("house.hall", True, "Where guests wait.", {"kit", "house.cellar"}),
        ("house.roof", False, "", {"house.hall"}),
    ]


def test_a_room_is_drawn_above_all_that_it_imports() -> None:
    assert rooms.levels(arrows(a="b c", b="c", c="", d="c")) == {"a": 2, "b": 1, "c": 0, "d": 1}


def test_circular_imports_are_refused() -> None:
    with pytest.raises(ValueError, match="a -> b -> a"):
        rooms.levels(arrows(a="b", b="a"))


def test_arrows_implied_by_others_are_left_out() -> None:
    assert rooms.shortest(arrows(a="b c d", b="c", c="d", d="")) == arrows(a="b", b="c", c="d", d="")


def boxes() -> Mapping[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of each box in the picture of this checkout, by its label."""
    picture = ET.fromstring(rooms.draw(ROOMS).replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1))
    found = {}
    for group in picture.iter(f"{SVG}g"):
        box, text = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        assert box is not None
        assert text is not None
        left, top, wide, high = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        found[str(text.text).strip("/")] = (left, top, left + wide, top + high)
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    for left, top, right, bottom in found.values():
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    return found


def test_the_picture_shows_every_room_above_what_it_imports() -> None:
    found = boxes()
    assert found.keys() == {room.name.rpartition(".")[2] for room in ROOMS}
    for room in ROOMS:
        for other in room.imports:
            assert found[room.name.rpartition(".")[2]][3] < found[other.rpartition(".")[2]][1], (room.name, other)


def test_no_boxes_of_the_picture_overlap() -> None:
    for (one, a), (other, b) in combinations(boxes().items(), 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1], (one, other)


MODELS = [
    model
    for module in (attributes, documents, message, message_parts, snapshots, stored)
    for name, model in vars(module).items()
    if isinstance(model, type) and model.__module__ == module.__name__ and name in SCHEMAS.models
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_fields_are_read_as_python_has_them(model: type) -> None:
    found = {field.name: field.may_be_absent for field in fields.all_fields(SCHEMAS, model.__name__)}
    if is_typeddict(model):
        assert found == {name: name in model.__optional_keys__ for name in model.__annotations__}  # type: ignore[attr-defined]
    elif issubclass(model, BaseModel):
        assert found.keys() == {field.alias or name for name, field in model.model_fields.items()}
    else:
        hints = {name: hint for name, hint in get_type_hints(model).items() if "ClassVar" not in str(hint)}
        assert found == {name: type(None) in get_args(hint) for name, hint in hints.items()}


def test_stored_documents_are_described_in_the_words_of_their_models() -> None:
    rows = fields.table(SCHEMAS, "GapDocument", frozenset({"_id", "v"})).splitlines()
    assert rows[0] == " ".join(str(documents.Gap.__doc__).split())
    assert {row.split("`")[1] for row in rows[4:]} == stored.GapDocument.__annotations__.keys() - {"_id", "v"}
    (line,) = (row for row in rows if row.startswith("| `line` "))
    assert "Its number in the spool" in line
    (cause,) = (row for row in rows if row.startswith("| `cause` "))
    assert "`pipe` or `disk` or " in cause
    assert "`pipe`: a receiver died" in cause


def pages() -> dict[str, str]:
    """Every page, with its generated parts."""
    found = {str(page.relative_to(ROOT / "docs")): [page.read_text()] for page in (ROOT / "docs").rglob("*.md")}
    for name, source in found.items():
        conf.make_page(None, name.removesuffix(".md"), source)
    return {name: source[0] for name, source in found.items()}


def test_every_generated_part_has_a_place_and_its_links_lead_to_headings() -> None:
    for name, text in pages().items():
        assert "<!-- made" not in text, name
        headings = {heading.strip().lower() for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
        assert set(re.findall(r"\]\(#(\w+)\)", text)) <= headings, name


def test_an_example_is_shown_with_its_docstring(tmp_path: Path) -> None:
    (tmp_path / "b.js").write_text("// Looks.\n//\n//   type this\n\nlook(); // here\n")
    (tmp_path / "a.py").write_text('"""Counts.\n\n    python a.py\n"""\n\nprint(1)\n')
    (tmp_path / "notes.txt").write_text("not a program")
    assert re.sub(r"\s+", " ", programs.chapters(tmp_path)) == (
        "## a.py Counts. ``` python a.py ``` ```python print(1) ``` "
        "## b.js Looks. ``` type this ``` ```js look(); // here ```"
    )


def test_the_architecture_page_names_paths_that_exist() -> None:
    page, new = (ROOT / "docs/architecture.md").read_text().split("## Where new things go")
    named = set(re.findall(r"`((?:collector|schemas|tests)/[\w./]*)`", page))
    named |= set(re.findall(r"`((?:collector|schemas)/[\w/]*\.py)`", new))
    assert len(named) > 10
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
    order = re.findall(r"(\w+)/", re.findall(r"router .*", page)[0])
    assert [name for name in order if not (ROOT / "collector" / name).is_dir()] == []
