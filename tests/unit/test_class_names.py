"""One class name, one meaning: who reads of a class need not ask which one."""

import ast
from collections import defaultdict

from tests.support import ROOT


def test_a_public_class_has_a_name_of_its_own() -> None:
    """Also none that a module has for itself, with an underscore."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for package in ("bgpledger", "collector", "schemas"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    found[node.name.lstrip("_")].append(f"{node.name} in {file.relative_to(ROOT)}")
    twice = {
        name: places
        for name, places in found.items()
        if len(places) > 1 and any(not place.startswith("_") for place in places)
    }
    assert not twice
