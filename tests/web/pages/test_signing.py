"""Where tokens are needed: a token begins a session, its end ends it, and what somebody may not do is not offered."""

from __future__ import annotations

import sys

import pytest

from pipelines import Role, Tokens
from tests.project import Project
from tests.web.pages.site import PIPELINES, PLUGIN, Site, hidden


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A site that needs tokens; gives it and a viewer's token."""
    project = Project(tmp_path_factory.mktemp("guarded"))
    project.write(PIPELINES)
    project.plugin("page_stages", PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        with Site(project, web_token="a-token-for-all-of-it").serving() as site:
            tokens = Tokens(site.engine.writer, site.engine.reader)
            yield site, site.on_loop(lambda: tokens.make("vera", Role.VIEWER, by="ann"))
    sys.modules.pop("page_stages", None)


def sign_in(browser, token: str, path: str = "/runs"):
    """Send the form with a token."""
    form = {"csrf": "", "next": path}
    text = browser.get("/login", params={"next": path}).text
    form.update(hidden(text, "/login"))
    return browser.post("/login", data={**form, "token": token})


def test_without_a_token_there_is_only_the_way_in(guarded):
    """No page answers to a stranger but the one that asks for a token; the files that it needs do."""
    site, _ = guarded
    with site.client() as browser:
        assert browser.get("/login").status_code == 200
        assert browser.get("/static/pipecall.css").status_code == 200
        for path in ("/", "/runs", "/pipelines/good", "/audit"):
            assert browser.get(path).status_code in (303, 401)


def test_a_wrong_token_is_told(guarded):
    """A wrong token brings the form again with a word about it, and no session."""
    site, _ = guarded
    with site.client() as browser:
        answer = sign_in(browser, "<script>alert(1)</script>")
        assert (401, True, False) == (answer.status_code, "wrong" in answer.text, "<script>alert" in answer.text)
        assert browser.get("/").status_code in (303, 401)


def test_a_token_begins_a_session_that_ends(guarded):
    """With a token one is led to the page that was wanted; after signing out one is a stranger again."""
    site, _ = guarded
    with site.client() as browser:
        answer = sign_in(browser, "a-token-for-all-of-it")
        assert (303, "/runs") == (answer.status_code, answer.headers["location"])
        page = browser.get("/runs")
        assert (200, True) == (page.status_code, "WEB_TOKEN" in page.text)
        gone = browser.post("/logout", data=hidden(page.text, "/logout"))
        assert (303, "/login") == (gone.status_code, gone.headers["location"])
        assert "You are signed out." in browser.get("/login").text
        assert browser.get("/").status_code in (303, 401)


def test_nobody_is_led_elsewhere_by_signing_in(guarded):
    """The page that is wanted is one of ours, whatever the address says."""
    site, _ = guarded
    with site.client() as browser:
        assert "/" == sign_in(browser, "a-token-for-all-of-it", "//evil.example/x").headers["location"]


def test_a_viewer_is_offered_nothing_to_change(guarded):
    """A viewer sees no button that changes anything, and is refused if they ask all the same."""
    site, token = guarded
    with site.client() as browser:
        sign_in(browser, token)
        for path in ("/", "/pipelines", "/pipelines/good", "/schedules"):
            text = browser.get(path).text
            assert 'action="/logout"' in text
            assert 1 == text.count('method="post"'), path
        form = hidden(browser.get("/").text, "/logout")
        refused = browser.post("/pipelines/good/run", data=form)
        assert (403, True) == (refused.status_code, "you may not run good" in refused.text)
        pages, rest = browser.get("/audit"), browser.get("/api/audit", headers={"Authorization": f"Bearer {token}"})
        assert (403, 403) == (pages.status_code, rest.status_code)
        assert "you may not look at the audit: it needs admin; you are viewer" == rest.json()["detail"]
        assert rest.json()["detail"] in pages.text
    assert [(0, "vera")] == site.project.query("SELECT allowed, actor FROM audit")
