"""One class name, one meaning: readers need not ask which class is meant."""

import ast
from collections import defaultdict

from tests.support import ROOT


def test_a_public_class_has_a_name_of_its_own() -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for package in ("bgpledger", "collector", "schemas"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(str(file.relative_to(ROOT)))
    assert not {name: places for name, places in found.items() if len(places) > 1}
