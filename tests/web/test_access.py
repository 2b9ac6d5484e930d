"""Who may do what over REST: levels over each changing route, tokens that expire and go, wrong ones that are slowed."""

from __future__ import annotations

import functools
from datetime import timedelta

import pytest

from pipelines import Role, Tokens
from pipelines.model import utcnow
from tests.project import until

ADMIN = {"Authorization": "Bearer a-token-of-the-tests"}
LEVELS = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
CHANGES = [
    ("POST", "/api/pipelines/prices/runs", None, Role.OPERATOR),
    ("POST", "/api/pipelines/prices/mute", None, Role.OPERATOR),
    ("POST", "/api/pipelines/prices/unmute", None, Role.OPERATOR),
    ("POST", "/api/runs/1/cancel", None, Role.OPERATOR),
    ("POST", "/api/runs/1/retry", None, Role.OPERATOR),
    ("POST", "/api/schedules", {"pipeline": "prices", "when": "daily at 10:00"}, Role.OPERATOR),
    ("POST", "/api/schedules/prices-daily/disable", None, Role.OPERATOR),
    ("POST", "/api/schedules/prices-daily/enable", None, Role.OPERATOR),
    ("DELETE", "/api/schedules/prices-daily", None, Role.ADMIN),
    ("POST", "/api/messages/redeliver", None, Role.ADMIN),
    ("POST", "/api/scheduler/reload", None, Role.ADMIN),
    ("GET", "/api/audit", None, Role.ADMIN),
    ("POST", "/api/schedules/preview", {"when": "daily at 10:00"}, Role.VIEWER),
]


@pytest.fixture(scope="module")
def site(rest):
    """A service that needs a token."""
    with rest(web_token="a-token-of-the-tests") as site:
        site.tokens = Tokens(site.engine.writer, site.engine.reader)
        site.by_level = {
            level: {"Authorization": f"Bearer {site.on_loop(functools.partial(make, site, level))}"} for level in LEVELS
        }
        site.ran("prices")
        yield site


async def make(site, level: Role, name: str | None = None, expires: timedelta | None = None) -> str:
    return await site.tokens.make(name or level.name.lower(), level, by="test", expires=expires)


@pytest.fixture
def client(site):
    """Somebody without a token."""
    with site.client() as client:
        yield client


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name.lower())
@pytest.mark.parametrize(("method", "path", "body", "needed"), CHANGES)
def test_each_change_needs_its_level(site, client, method, path, body, needed, level):
    """Who has less than a change needs is told what is missing; who has enough is not stopped by that."""
    answer = client.request(method, path, json=body, headers=site.by_level[level])
    assert (level < needed) == (answer.status_code == 403), answer.text
    if level < needed:
        assert f"you are {level.name.lower()}" in answer.json()["missing"]


@pytest.mark.parametrize(("method", "path", "body", "needed"), CHANGES)
def test_without_a_token_nothing_is_done(client, method, path, body, needed):
    """Where there are tokens, each route needs one, even on this machine, and says how one is sent."""
    answer = client.request(method, path, json=body)
    assert (401, 'Bearer realm="pipecall"') == (answer.status_code, answer.headers["www-authenticate"])
    assert needed in LEVELS


def test_a_token_ends_when_it_expires_or_is_revoked(site, client):
    """From that moment on it is as wrong as any other."""
    token = site.on_loop(lambda: make(site, Role.VIEWER, "short", timedelta(seconds=1)))
    mine = {"Authorization": f"Bearer {token}"}
    assert 200 == client.get("/api/runs", headers=mine).status_code
    site.engine.clock, before = (lambda: utcnow() + timedelta(seconds=2)), site.engine.clock
    until(lambda: client.get("/api/runs", headers=mine).status_code == 401, "it still works")
    site.engine.clock = before
    other = {"Authorization": f"Bearer {site.on_loop(lambda: make(site, Role.VIEWER, 'other'))}"}
    assert 200 == client.get("/api/runs", headers=other).status_code
    site.on_loop(lambda: site.tokens.revoke("other"))
    assert 401 == client.get("/api/runs", headers=other).status_code


def test_without_a_token_the_health_says_no_more_than_its_status(client):
    """Watchers need no token to see whether it lives; what ails it is for those who have one."""
    short, whole = (client.get("/api/scheduler/health", headers=headers).json() for headers in ({}, ADMIN))
    assert ({"status"}, True) == (set(short), {"complaints", "faces", "queued"} <= set(whole))


def test_a_key_is_not_used_up_by_a_denial(site, client):
    """Who was denied and then may do it sends the same request again."""
    path, key = "/api/pipelines/prices/runs", {"Idempotency-Key": "later"}
    token = site.on_loop(lambda: make(site, Role.VIEWER, "grows"))
    denied = client.post(path, headers={"Authorization": f"Bearer {token}", **key})
    site.on_loop(lambda: site.tokens.revoke("grows"))
    token = site.on_loop(lambda: make(site, Role.OPERATOR, "grows"))
    made = client.post(path, headers={"Authorization": f"Bearer {token}", **key})
    assert [403, 202] == [denied.status_code, made.status_code]


def test_wrong_tokens_are_slowed_down(rest):
    """After ten wrong tokens in a minute an address is not listened to for a while."""
    with rest() as open_site, open_site.client() as client:
        answers = [client.get("/api/runs", headers={"Authorization": "Bearer x"}) for _ in range(11)]
    assert [401] * 10 + [429] == [each.status_code for each in answers]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 61


def test_the_first_token_closes_the_door(rest):
    """Open to this machine without tokens; as soon as there is one, it is needed."""
    with rest() as open_site, open_site.client() as client:
        before = client.get("/api/runs").status_code
        tokens = Tokens(open_site.engine.writer, open_site.engine.reader)
        open_site.on_loop(lambda: tokens.make("first", Role.VIEWER, by="test"))
        assert (200, 401) == (before, client.get("/api/runs").status_code)
