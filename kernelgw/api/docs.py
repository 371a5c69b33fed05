"""/docs: every call and field, from the same description as /openapi.json.

Made here, as plain HTML: the usual viewers load their scripts from other hosts, and those would run in the origin in
which the page keeps the token.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>kernelgw</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { font-size: 1rem; margin: 2rem 0 .2rem; } code { font-family: ui-monospace, monospace; }
table { border-collapse: collapse; } td { padding: .1rem 1.5rem .1rem 0; vertical-align: top; }
</style></head><body>
"""
Schema = dict[str, Any]


@router.get("/docs")
async def docs(request: Request) -> Response:
    html = HEAD + "\n".join(_page(request.app.openapi())) + "\n</body></html>\n"
    return Response(html, media_type="text/html", headers={"Content-Security-Policy": POLICY})


def _page(description: Schema) -> Iterator[str]:
    about = description["info"]
    yield f"<h1>{escape(about['title'])} {escape(about['version'])}</h1><p>{escape(about.get('summary', ''))}</p>"
    yield "<p>For programs: <code>/openapi.json</code></p>"
    schemas = description.get("components", {}).get("schemas", {})
    for path, calls in description["paths"].items():
        for method, call in calls.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(call.get('summary', ''))}</p>"
            yield from _table(_fields(call, schemas))


def _fields(call: Schema, schemas: Schema) -> Iterator[tuple[str, str, str]]:
    """Name, type and meaning of what a call takes besides its path."""
    for parameter in call.get("parameters", ()):
        if parameter["in"] != "path":
            yield parameter["name"], parameter["in"], parameter.get("description", "")
    for content in call.get("requestBody", {}).get("content", {}).values():
        for schema in _alternatives(content["schema"], schemas):
            yield from _properties(schema, schemas, "")


def _properties(schema: Schema, schemas: Schema, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, value in schema.get("properties", {}).items():
        inner = list(_alternatives(value, schemas))
        kinds = [_kind(each) for each in inner if each.get("type") != "null"]
        required = "" if name not in schema.get("required", ()) else ", required"
        yield prefix + name, " or ".join(kinds) + required, value.get("description", "")
        for each in inner:
            yield from _properties(each, schemas, f"{prefix}{name}.")


def _alternatives(schema: Schema, schemas: Schema) -> Iterator[Schema]:
    for each in schema.get("anyOf", (schema,)):
        reference = each.get("$ref", "")
        yield schemas[reference.rpartition("/")[2]] if reference else each


def _kind(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    return str(schema.get("type", "any"))


def _table(rows: Iterator[tuple[str, str, str]]) -> Iterator[str]:
    found = ["".join(f"<td>{cell}</td>" for cell in _cells(row)) for row in rows]
    if found:
        yield "<table>" + "".join(f"<tr>{row}</tr>" for row in found) + "</table>"


def _cells(row: tuple[str, str, str]) -> Iterator[str]:
    name, kind, meaning = row
    yield f"<code>{escape(name)}</code>"
    yield from (escape(kind), escape(meaning))
