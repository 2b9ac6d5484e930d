"""The page that tells what the REST interface takes and answers, made of its OpenAPI document, all from here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse, JSONResponse, Response

from web.description import METHODS, describe

Json = Mapping[str, Any]
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} REST</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/static/pipecall.css">
</head><body><main>
<h1>{title} REST</h1><p>{about}</p>
<p>The same for programs: <a href="/api/openapi.json">OpenAPI</a>. Back to the <a href="/">dashboard</a>.</p>
{index}{sections}
</main></body></html>
"""


def serve_docs(app: FastAPI) -> None:
    """Have an app answer with its own description, which is made when somebody first asks."""
    described = cache(lambda: describe(app))

    def openapi() -> Response:
        return JSONResponse(described())

    def docs() -> Response:
        return HTMLResponse(document(described()))

    app.add_api_route("/api/openapi.json", openapi, include_in_schema=False)
    app.add_api_route("/api/docs", docs, include_in_schema=False)


def document(told: Json) -> str:
    """Return an HTML page with each route, what it takes, and what it answers, by what they are about."""
    index, sections = "", ""
    for tag in told["tags"]:
        routes = [_route(each, told) for each in _routes(told) if tag["name"] in each[2]["tags"]]
        index += f'<li><a href="#{tag["name"]}">{tag["name"]}</a>: {escape(tag["description"])}</li>'
        sections += f'<h2 id="{tag["name"]}">{tag["name"]}</h2>{"".join(routes)}'
    about = _prose(told["info"]["description"]).replace("\n\n", "</p><p>")
    return PAGE.format(title=escape(told["info"]["title"]), about=about, index=f"<ul>{index}</ul>", sections=sections)


Route = tuple[str, str, Json]


def _routes(told: Json) -> Iterator[Route]:
    for path, item in told["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield path, method.upper(), operation


def _route(route: Route, told: Json) -> str:
    path, method, operation = route
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    takes = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}"
        f"{'' if each['required'] else ', optional'}</td><td>{_prose(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{_prose(each['description'])}</td></tr>"
        for status, each in sorted(operation["responses"].items())
    )
    return (
        f"<section><h3><code>{method} {escape(path)}</code></h3>"
        f"<p><b>{escape(operation['summary'])}.</b> {_prose(operation['description'])}</p>"
        f"{_table(takes)}{_example('Body', body, told)}{_example('Answer', _answer(operation), told)}"
        f"<details><summary>Statuses</summary>{_table(answers)}</details></section>"
    )


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _table(rows: str) -> str:
    return f"<table><tbody>{rows}</tbody></table>" if rows else ""


def _answer(operation: Json) -> Json | None:
    good = next(each for status, each in sorted(operation["responses"].items()) if status.startswith("2"))
    schema: Json | None = good.get("content", {}).get("application/json", {}).get("schema")
    return schema


def _example(heading: str, schema: Json | None, told: Json) -> str:
    example = example_of(schema, told) if schema is not None else None
    if example is None:
        return ""
    text = json.dumps(example, ensure_ascii=False, indent=2)
    return f"<details><summary>{heading}</summary><pre><code>{escape(text)}</code></pre></details>"


def example_of(schema: Json, told: Json) -> Any:
    """Return an example of what a schema describes, None where there is none."""
    if "$ref" in schema:
        return example_of(told["components"]["schemas"][schema["$ref"].rpartition("/")[2]], told)
    if schema.get("examples"):
        return schema["examples"][0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], told)
    if "items" in schema:
        one = example_of(schema["items"], told)
        return [one] if one is not None else None
    if "properties" in schema:
        each = {name: example_of(value, told) for name, value in schema["properties"].items()}
        return {name: value for name, value in each.items() if value is not None} or None
    return {"integer": 1, "string": "…", "boolean": True, "number": 0.5}.get(schema.get("type", ""))
