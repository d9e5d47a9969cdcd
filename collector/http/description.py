"""The description of the API (OpenAPI 3.1)."""

from __future__ import annotations

import json
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from collector.http.health import OPEN_PATHS
from collector.http.problems import Problem
from schemas.json_object import JsonObject

_UNREADABLE = "422"
"""FastAPI's own response to invalid parameters, which is replaced by our 400."""
_CHANGING = ("post", "delete")


def describe(app: FastAPI) -> None:
    """Make an application describe exactly what it answers."""

    def description() -> JsonObject:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]  # as FastAPI's manual has it


def _described(app: FastAPI) -> JsonObject:
    found = get_openapi(
        title=app.title,
        summary=app.summary,
        description=app.description,
        version=app.version,
        license_info=app.license_info,
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    schemas = found["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    _exemplify(schemas)
    found["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "Where tokens are asked for: `bgpledger token add`.",
        }
    }
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            if _UNREADABLE in operation["responses"] and "HTTPValidationError" in str(
                operation["responses"][_UNREADABLE]
            ):
                del operation["responses"][_UNREADABLE]
            if path not in OPEN_PATHS:
                operation["security"] = [{"token": []}] if method in _CHANGING else [{}, {"token": []}]
    return found


def _exemplify(schemas: JsonObject) -> None:
    """Add an answer from the demonstration's archive to each type of answer as an example; FastAPI would omit nulls."""
    examples = json.loads((Path(__file__).parent / "examples.json").read_bytes())
    for name, one in examples.items():
        page = {"answers": [one], "notes": [], "covered": True, "next": None}
        for schema, example in ((name, one), (f"Page_{name}_", page)):
            if schema in schemas:
                schemas[schema]["examples"] = [example]
