"""The page that describes the API, generated from its description: no script, and nothing from another host."""

from __future__ import annotations

import json
import re

from fastapi import Request
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from collector.http.pages.rendering import TEMPLATES, page_router, render
from schemas.json_object import JsonObject

router = page_router()


@router.get("/api/v1/docs")
async def api(request: Request) -> HTMLResponse:
    """All queries, with their parameters."""
    return render(request, "api.html", api=request.app.openapi())


def _code(text: str) -> Markup:
    """A text with its parts in backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  # it is escaped


def _such_as(parameter: JsonObject) -> Markup:
    """The values of a parameter: all of them, or examples."""
    schema = parameter["schema"]
    kinds = [schema, *schema.get("anyOf", ())]
    values = next((kind["enum"] for kind in kinds if "enum" in kind), None)
    found = values or schema.get("examples") or parameter.get("examples") or ()
    return Markup(", ").join(Markup("<code>{}</code>").format(one) for one in found)


def _example_of(operation: JsonObject, api: JsonObject) -> str:
    """An answer as JSON; empty if there is no example."""
    content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    examples = api["components"]["schemas"].get(name, {}).get("examples")
    return json.dumps(examples[0], indent=2) if examples else ""


TEMPLATES.env.filters |= {"code": _code, "such_as": _such_as, "example_of": _example_of}
