"""What people look after on pages: questions about missed runs, alerts that are held back, a file that is refused."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from pipelines import Role, Tokens
from pipelines.store import questions
from pipelines.store.questions import Ask
from tests.project import Project, until
from tests.web.pages.site import PIPELINES, PLUGIN, Site, hidden

TOKEN = "a-token-for-all-of-it"


@pytest.fixture(scope="module")
def cared(tmp_path_factory):
    """A site that needs tokens; gives it, a viewer's token and an operator's."""
    project = Project(tmp_path_factory.mktemp("cared"))
    project.write(PIPELINES)
    project.plugin("page_stages", PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        with Site(project, web_token=TOKEN).serving() as site:
            tokens = Tokens(site.engine.writer, site.engine.reader)
            made = [
                site.on_loop(lambda level=level: tokens.make(level.name.lower(), level, by="ann"))
                for level in (Role.VIEWER, Role.OPERATOR)
            ]
            yield site, *made
    sys.modules.pop("page_stages", None)


@contextmanager
def signed_in(site: Site, token: str):
    """Give a browser that has signed in."""
    with site.client() as browser:
        browser.post("/login", data={**hidden(browser.get("/login").text, "/login"), "token": token})
        yield browser


def told(browser, answer) -> str:
    """Return the page that the browser is sent to."""
    assert 303 == answer.status_code, answer.text[-500:]
    return str(browser.get(answer.headers["location"]).text)


def asked(site: Site, job: str, count: int) -> int:
    """Ask about instants that a job has missed, and let them be missed; return the question's id."""
    now = datetime.now(UTC).replace(microsecond=0)
    instants = [now - timedelta(hours=hour) for hour in range(count, 0, -1)]

    async def work() -> int:
        return int(await site.engine.writer.call(questions.ask, Ask(job, job, "nowhere:1", instants, now)))

    return int(site.on_loop(work))


def test_a_question_is_answered_on_a_page(cared):
    """What was missed is asked about on the overview and on /missed, each choice a button; who is first decides."""
    site, viewer, operator = cared
    first = asked(site, "good", 3)
    action = f"/questions/{first}/answer"
    with signed_in(site, viewer) as looks, signed_in(site, operator) as browser:
        for path in ("/", "/missed"):
            text = browser.get(path).text
            assert all(each in text for each in ("Run latest", "Run all", ">Skip<", "if nobody answers"))
            seen = looks.get(path).text
            assert ("if nobody answers" in seen, action in seen) == (True, False)
        form = hidden(browser.get("/missed").text, action)
        stolen = hidden(looks.get("/").text, "/logout")
        assert 403 == looks.post(action, data={**stolen, "choice": "all"}).status_code
        for wrong in ("", "expired", "<script>"):
            assert "choose one of" in told(browser, browser.post(action, data={**form, "choice": wrong}))
        done = browser.post(action, data={**form, "choice": "skip"})
        assert "/missed" == done.headers["location"]
        assert "The missed runs of good are skipped." in told(browser, done)
        again = {**form, "nonce": "another", "choice": "all"}
        assert "are decided: operator skipped them" in told(browser, browser.post(action, data=again))
        for strange in ("0", "99", "x", "9" * 40):
            answer = browser.post(f"/questions/{strange}/answer", data={**again, "nonce": f"n{strange}"})
            assert "question" in told(browser, answer)
    assert [("skip", "operator")] == site.project.query("SELECT choice, decided_by FROM questions WHERE id = ?", first)


def test_of_one_missed_run_there_is_no_latest(cared):
    """Of a single missed run it is asked whether it runs, not which."""
    site, _, operator = cared
    asked(site, "takes", 1)
    with signed_in(site, operator) as browser:
        text = browser.get("/").text
        assert (True, False) == ("Run it" in text, "Run all" in text)


def test_alerts_are_held_back_and_let_through(cared):
    """On its page a pipeline is muted until an instant or its next success, and unmuted; a viewer only sees it."""
    site, viewer, operator = cared
    page, action = "/pipelines/good", "/pipelines/good/mute"
    with signed_in(site, viewer) as looks, signed_in(site, operator) as browser:

        def mute(until_words: str) -> str:
            form = hidden(browser.get(page).text, action)
            return told(browser, browser.post(action, data={**form, "until": until_words}))

        assert "banner bad" in mute("<script>alert(1)")
        assert "comes again and again" in mute("every day at 08:00")
        assert "held back until its next success" in mute("")
        assert action not in looks.get(page).text
        assert "by <bdi>operator</bdi>" in looks.get(page).text
        form = hidden(browser.get(page).text, "/pipelines/good/unmute")
        assert "come again" in told(browser, browser.post("/pipelines/good/unmute", data=form))
        assert "held back until" in mute("in 2 hours")
        stolen = hidden(looks.get("/").text, "/logout")
        assert 403 == looks.post("/pipelines/good/unmute", data=stolen).status_code
        nothing = browser.post("/pipelines/nothing/mute", data={**form, "nonce": "n"})
        assert "no pipeline is called" in told(browser, nothing)
    assert [("good",)] == site.project.query("SELECT pipeline FROM mutes")


def test_a_refused_file_is_told_of_and_read_again(cared):
    """What is wrong with the newest file stands on every page; an admin has it read again, once it is mended."""
    site, viewer, _ = cared
    with signed_in(site, viewer) as looks, signed_in(site, TOKEN) as browser:
        site.project.write(PIPELINES + "\n  '<script>alert(1)': 5\n")
        form = hidden(browser.get("/runs").text, "/logout")
        refused = told(browser, browser.post("/reload", data={**form, "nonce": "1", "back": "/runs"}))
        assert ("Refused again" in refused, "not in force" in refused, "<script>alert" in refused) == (
            True,
            True,
            False,
        )
        assert ("not in force" in looks.get("/").text, "/reload" in looks.get("/").text) == (True, False)
        stolen = hidden(looks.get("/").text, "/logout")
        assert 403 == looks.post("/reload", data=stolen).status_code
        form = hidden(browser.get("/runs").text, "/reload")
        assert "Refused again" in told(browser, browser.post("/reload", data=form))
        site.project.write(PIPELINES + "\n  fresh: {chain: [page_stages.good]}\n")
        form = hidden(browser.get("/runs").text, "/reload")
        assert "banner bad" not in told(browser, browser.post("/reload", data=form))
        until(lambda: "fresh" in site.engine.catalog.pipelines, "the file was not read again")
        assert "not in force" not in looks.get("/").text
