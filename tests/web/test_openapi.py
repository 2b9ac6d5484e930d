"""The OpenAPI document is true: valid, with examples that fit, and each route answers as it says."""

from __future__ import annotations

import re

import hypothesis
import jsonschema_rs
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.project import ROOT

ADMIN = {"Authorization": "Bearer a-token-of-the-tests"}
METHODS = {"get", "put", "post", "delete", "patch"}
ENDLESS = "/api/events"
EACH = 6
"""So many requests are made up for each route."""
REST = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(rest):
    """A service that needs a token."""
    with rest(web_token="a-token-of-the-tests") as site:
        site.ran("prices")
        yield site


@pytest.fixture(scope="module")
def told(site):
    """The document."""
    with site.client() as client:
        return client.get("/api/openapi.json").json()


def routes(told) -> set[tuple[str, str]]:
    """Each route as a method and a path."""
    return {(method.upper(), path) for path, item in told["paths"].items() for method in item.keys() & METHODS}


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis does, now and then
def test_each_route_answers_as_it_says(site, told):
    """Whatever is asked, nothing is a fault of ours, and statuses, media types and bodies are those of the document."""
    schema = schemathesis.openapi.from_dict(told)
    schema.validate()
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    asked: set[int] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == ENDLESS:
            continue

        @hypothesis.settings(
            max_examples=EACH,
            database=None,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )
        @hypothesis.given(case=operation.as_strategy())
        def ask(case):
            answer = case.call_and_validate(base_url=site.address, checks=checks, headers=ADMIN)
            asked.add(answer.status_code)

        ask()
    assert {200, 202, 404, 422} <= asked


def test_each_example_fits_its_schema(told):
    """What the document shows as an example is one."""
    schemas = told["components"]["schemas"]
    of = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": told["components"]}
    examples = [(name, each) for name, schema in schemas.items() for each in schema.get("examples", ())]
    for name, example in examples:
        jsonschema_rs.validate({**of, "$ref": f"#/components/schemas/{name}"}, example)
    assert len(examples) > 15


def test_each_body_and_answer_is_described(told):
    """Each body has an example, each answer but the empty ones a schema, each error is a problem, each route a tag."""
    for method, path in routes(told):
        operation = told["paths"][path][method.lower()]
        assert operation["tags"], path
        assert operation["security"], path
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if body is not None:
            (name,) = re.findall(r"#/components/schemas/(\w+)", str(body))
            assert told["components"]["schemas"][name]["examples"], name
        for status, answer in operation["responses"].items():
            media = answer.get("content", {})
            assert ("application/problem+json" in media) == (int(status) >= 400), (path, status)
            assert status == "204" or all(each.get("schema") for each in media.values()), (path, status)


def test_the_page_of_the_document_names_each_route(site, told):
    """`/api/docs` tells of each route and loads nothing from elsewhere."""
    with site.client() as client:
        page = client.get("/api/docs").text
    assert [] == [route for route in routes(told) if f"<code>{' '.join(route)}</code>" not in page]
    assert [] == re.findall(r'(?:src|href)="(?!/|#)[^"]*"', page)


def test_the_description_for_people_names_each_route(told):
    """docs/rest.md has a curl for each route of the interface, and none for one that is not there."""
    found = re.findall(r'curl (?:-N )?(?:-X (\w+) )?"\$PIPECALL(/[^"?]*)(?:\?[^"]*)?"( -d| -H[^\n]* -d)?', REST)
    shown = {(method or ("POST" if body else "GET"), path) for method, path, body in found}
    known = {(method, _pattern(path)) for method, path in routes(told)}
    missing = [
        (method, path.pattern) for method, path in known if not any(method == m and path.fullmatch(p) for m, p in shown)
    ]
    foreign = [(m, p) for m, p in shown if not any(method == m and path.fullmatch(p) for method, path in known)]
    assert ([], []) == (missing, foreign)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
