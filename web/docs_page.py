"""The page that tells what the REST interface takes and answers, made of its OpenAPI, all from here."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any


def document(openapi: Mapping[str, Any]) -> str:
    """Return an HTML page with each route, what it takes, and what it answers."""
    routes = "".join(
        _route(path, method, told) for path, methods in openapi["paths"].items() for method, told in methods.items()
    )
    title = escape(openapi["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} REST</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/static/pipecall.css"></head>'
        f"<body><main><h1>{title} REST</h1><p>{escape(openapi['info'].get('description', ''))}</p>"
        f'<p><a href="/api/openapi.json">OpenAPI</a></p>{routes}</main></body></html>'
    )


def _route(path: str, method: str, told: Mapping[str, Any]) -> str:
    takes = "".join(
        f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])}) {escape(each.get('description', ''))}</li>"
        for each in told.get("parameters", ())
    )
    answers = "".join(
        f"<li>{escape(status)}: {escape(each.get('description', ''))}</li>"
        for status, each in told.get("responses", {}).items()
    )
    return (
        f"<section><h2><code>{escape(method.upper())} {escape(path)}</code></h2><p>{escape(told.get('summary', ''))}. "
        f"{escape(told.get('description', ''))}</p><ul>{takes}</ul><ul>{answers}</ul></section>"
    )
