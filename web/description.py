"""The OpenAPI document of the REST interface: what FastAPI knows of the routes, and the errors that each can give.

Which errors those are follows from what a route takes; so it stands here once, and not at every route.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from web import service_values, values
from web.problems import MEDIA_TYPE
from web.values import Problem

METHODS = frozenset({"get", "put", "post", "delete", "patch"})
OPEN = "/api/scheduler/health"
"""What answers without a token."""
WORDS: Mapping[int, str] = {
    401: "A token is needed.",
    403: "Not allowed.",
    404: "Not there.",
    408: "The body did not arrive in time.",
    409: "Not as things stand.",
    413: "The body is too big.",
    421: "For another host; see WEB_HOSTS.",
    422: "Wrong input; every fault is told.",
    429: "Too many wrong tokens; `Retry-After` says when to come back.",
    503: "The store or the service is out of reach; `Retry-After` says when to come back.",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document of an app's routes."""
    told = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=[
            {"name": "pipelines", "description": "What there is, and how it stands."},
            {"name": "runs", "description": "Runs: asked for, followed, cancelled."},
            {"name": "schedules", "description": "When pipelines are due: the jobs."},
            {"name": "matters", "description": "What people look after: trouble, questions, messages, the audit."},
            {"name": "service", "description": "The service itself, and events as they happen."},
        ],
    )
    schemas = told["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    for name, model in {**vars(values), **vars(service_values)}.items():
        if name in schemas and (extra := model.model_config.get("json_schema_extra")):
            schemas[name]["examples"] = extra["examples"]  # whole: FastAPI leaves out what is null
    for path, item in told["paths"].items():
        for method in item.keys() & METHODS:
            _tell_errors(path, method, item[method])
    return told


def _tell_errors(path: str, method: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    for status in sorted({*_statuses(path, method, operation), *(int(each) for each in answers if int(each) in WORDS)}):
        known = answers.setdefault(str(status), {})
        ours = "HTTPValidationError" not in str(known)
        content = known.get("content", {}) if ours and path == OPEN else {}
        answers[str(status)] = {
            "description": WORDS[status],
            "content": {**content, MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    if path == OPEN:
        operation["security"].append({})


def _statuses(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[int]:
    """Yield the errors that a route can give, by what it takes."""
    yield from (421, 429, 503)
    if path != OPEN:
        yield from (401, 403)
    if "{" in path:
        yield 404
    if method != "get":
        yield from (408, 409, 413)
    if operation.get("parameters") or operation.get("requestBody"):
        yield 422
