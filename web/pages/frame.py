"""What all pages share: templates and what they may say, messages that outlive a redirect, pages of trouble."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pipelines import Denied, Engine, LogLine, Run, StartedBy, Verb, Verbs, check_zone
from web import pictures, words
from web.access import Caller, Kind, access_of

HERE = Path(__file__).parent.parent
PAGES = (
    ("/", "Overview"),
    ("/pipelines", "Pipelines"),
    ("/runs", "Runs"),
    ("/schedules", "Schedules"),
    ("/calendar", "Calendar"),
    ("/missed", "Missed"),
    ("/audit", "Audit"),
)
SAID, SCHEME = "pipecall_said", "pipecall_scheme"
"""Cookies: a message for the next page, and whether somebody wants it light or dark."""
REFRESH = "x-refresh"
"""The header of a request that only brings a page up to date."""
SAID_S, LONGEST_SAID = 30, 400
WARNING, ERROR = 30, 40


@dataclass(frozen=True, slots=True)
class Said:
    """A message about what was done; `kind` is `good` or `bad`, `undo` a path that takes it back."""

    text: str
    kind: str = "good"
    undo: str = ""


@cache
def templates() -> Environment:
    """Return the templates; what they are given is escaped, and cleaned of what no page can hold."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    return words.plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def version() -> str:
    """Return a mark of the static files: other files, other mark."""
    files = sorted((HERE / "static").iterdir())
    return hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest()[:12]


def engine_of(request: Request) -> Engine:
    """Return the engine that the pages are about."""
    engine: Engine = request.app.state.engine
    return engine


def verbs_of(request: Request) -> Verbs:
    """Return what makes changes."""
    verbs: Verbs = request.app.state.verbs
    return verbs


def zone_of(engine: Engine) -> tzinfo:
    """Return the scheduler's time zone."""
    return check_zone(engine.catalog.options.timezone)


def check(request: Request, who: Caller, verb: Verb, pipeline: str | None) -> None:
    """Let pass who may do something to a pipeline, or (None) in general.

    Raises:
        Denied: they may not.
    """
    decision = verbs_of(request).may(who.actor, verb, pipeline)
    if not decision.allowed:
        raise Denied(verb.value, pipeline, decision.missing)


def may(request: Request, who: Caller, verb: Verb, pipeline: str) -> bool:
    """Say whether somebody may do something to a pipeline."""
    return verbs_of(request).may(who.actor, verb, pipeline).allowed


def page(request: Request, template: str, who: Caller | None, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page made of a template, for `who` asks (None: nobody knows)."""
    said = None if REFRESH in request.headers else _said(request)
    text = templates().get_template(template).render(_frame(request, who, said) | values)
    answer = HTMLResponse(text, status)
    if said is not None:
        answer.delete_cookie(SAID, path="/")
    return answer


def problem_page(
    request: Request, *, status: int, title: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the page that says what went wrong."""
    answer = page(request, "error.html", None, status=status, title=title, text=detail)
    answer.headers.update(headers or {})
    return answer


def to(path: str, said: Said | None = None) -> RedirectResponse:
    """Send the browser to another page of ours, with a message for it."""
    answer = RedirectResponse(path, 303)
    if said is not None:
        value = quote(json.dumps([words.cut(words.plain(said.text), LONGEST_SAID), said.kind, said.undo]))
        answer.set_cookie(SAID, value, max_age=SAID_S, path="/", httponly=True, samesite="strict")
    return answer


def own_path(given: str, otherwise: str = "/") -> str:
    """Return a path if it is one of ours: never the address of another site."""
    good = given.startswith("/") and not given.startswith(("//", "/\\")) and given.isprintable() and len(given) < 2_000
    return given if good and "\\" not in given else otherwise


def _said(request: Request) -> Said | None:
    try:
        text, kind, undo = map(str, json.loads(unquote(request.cookies.get(SAID, ""))))
    except ValueError:
        return None
    ours = undo.startswith("/schedules/") and undo.endswith("/restore")
    return Said(text, "bad" if kind == "bad" else "good", undo if ours else "")


def _frame(request: Request, who: Caller | None, said: Said | None) -> dict[str, Any]:
    """Return what every template may use."""
    engine = engine_of(request)
    scheme = request.cookies.get(SCHEME, "")
    path = request.url.path
    return {
        "back": _back(request),
        "caller": who,
        "csrf": access_of(request).csrf(request),
        "here": lambda href: path == href or (href != "/" and path.startswith(f"{href}/")),
        "may_reload": who is not None and verbs_of(request).may(who.actor, Verb.RELOAD).allowed,
        "nonce": lambda: secrets.token_urlsafe(12),
        "pages": PAGES,
        "problem": "",
        "reload_problem": _reload_problem(engine) if who is not None else None,
        "said": said,
        "scheme": scheme if scheme in ("light", "dark") else "",
        "signed_in": who is not None and who.kind is Kind.SESSION,
        "version": version(),
        "zone_name": engine.catalog.options.timezone,
        **_sayings(engine.clock(), zone_of(engine)),
    }


def _back(request: Request) -> str:
    """Return the address of a page; of one that brings a wrong form again, that of the page with the form."""
    if request.method != "GET":
        return request.url.path.removesuffix("/run")
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _reload_problem(engine: Engine) -> str | None:
    problem = engine.reload.problem
    return words.cut(problem, 4_000) if problem else None


def _sayings(now: datetime, zone: tzinfo) -> dict[str, Any]:
    """Return the words of templates; `now` and `zone` are what times are told by."""
    return {
        "ago_words": lambda at: words.ago(at, now),
        "clock_words": lambda at: words.clock(at, zone, now),
        "cut": words.cut,
        "duration": words.duration,
        "first_line": words.first_line,
        "icon": pictures.icon,
        "iso": lambda at: at.isoformat(),
        "level": level,
        "query": query,
        "quote": lambda name: quote(name, safe=""),
        "second_words": lambda at: f"{at.astimezone(zone):%H:%M:%S}",
        "stamp": lambda at: f"{at.astimezone(zone):%a %d %b %Y %H:%M:%S %Z}",
        "started_by": started_by,
        "state_words": words.state,
        "took": lambda run: words.duration(took_s(run, now)),
        "why": why,
    }


def query(**values: Any) -> str:
    """Return the query of a link; what is empty is left out."""
    return urlencode({key: value for key, value in values.items() if value not in ("", None)})


def took_s(run: Run, now: datetime) -> float | None:
    """Return how many seconds a run took, or has taken so far; None before it has begun."""
    end = run.ended_at or (None if run.state.final else now)
    return (end - run.started_at).total_seconds() if run.started_at and end else None


def started_by(run: Run) -> str:
    """Say who or what asked for a run."""
    if run.started_by is StartedBy.SCHEDULE:
        return f"schedule {run.schedule_id}"
    if run.started_by is StartedBy.STARTUP:
        return "start of the service"
    return run.actor or "by hand"


def why(run: Run) -> str:
    """Say on one line what a run ended with, where there is something to say."""
    return words.first_line(str(run.error) if run.error is not None else run.reason or "")


def level(line: LogLine) -> str:
    """Return what a line of a log is shown as."""
    return "error" if line.level >= ERROR else "warning" if line.level >= WARNING else "line"
