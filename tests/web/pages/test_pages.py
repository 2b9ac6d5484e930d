"""Every page, asked as browsers ask: it answers, whatever people and pipelines wrote stays text, forms are safe."""

from __future__ import annotations

import contextlib
import re

import pytest

from pipelines.errors import ConfigError
from pipelines.model import RunState
from tests.project import until
from tests.web.pages.site import HOSTILE, LONG, NASTY, hidden

PATHS = (
    *("/", "/pipelines", "/pipelines?q=good&only=off&page=99", "/pipelines/good", f"/pipelines/{LONG}"),
    *("/pipelines/waits", "/pipelines/takes", "/runs", "/runs?pipeline=good", "/runs?state=failed&pipeline=good"),
    *("/runs?schedule=good&state=succeeded", "/runs?before=2", "/schedules", "/schedules?q=good&page=x", "/calendar"),
    *("/schedules?pipeline=good&when=every+monday+at+08:00", "/missed", "/audit", "/missed?limit=9999", "/machines"),
)


@pytest.fixture(scope="module")
def used(site):
    """A site on which runs of all kinds have been; gives the id of the one that failed with hostile words."""
    site.ran("good")
    site.ran("takes", count=3, region='"><script>alert(1)</script>')
    return site, site.ran(LONG)


def safe(text: str) -> None:
    """Let a page pass in which hostile text is text."""
    for each in HOSTILE:
        assert each not in text
    assert not re.search(r"<[^>]+\son\w+=", re.sub(r'"[^"]*"', '""', text))
    assert " style=" not in re.sub(r">[^<]*<", "><", text)


@pytest.mark.parametrize("path", PATHS)
def test_every_page_answers_and_escapes(used, path):
    """Each page is there, and what pipelines and people wrote is text on it."""
    site, _ = used
    with site.client() as browser:
        answer = browser.get(path)
    assert 200 == answer.status_code, answer.text[-500:]
    safe(answer.text)


@pytest.mark.parametrize(
    "of", ["?q={}", "?only={}", "?page={}", "?pipeline={}", "?when={}&pipeline=good", "?before={}"]
)
def test_addresses_are_not_trusted(used, of):
    """Any text in an address is searched for, refused or ignored, never shown as markup."""
    site, _ = used
    with site.client() as browser:
        for path in ("/pipelines", "/runs", "/schedules"):
            answer = browser.get(path + of.format('"><script>alert(1)</script>\u202e%00%ff'))
            assert answer.status_code in (200, 422)
            safe(answer.text)


def test_a_failed_run_tells_why_and_its_log_is_there(used):
    """The page of a run has its error and log as text; the whole log can be loaded as a file."""
    site, run_id = used
    with site.client() as browser:
        page, log = browser.get(f"/runs/{run_id}"), browser.get(f"/runs/{run_id}/log.txt")
    safe(page.text)
    assert "ValueError" in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert ("text/plain; charset=utf-8", True) == (log.headers["content-type"], "<script>" in log.text)
    assert "attachment" in log.headers["content-disposition"]


def test_secrets_of_stages_are_hidden(used):
    """The arguments of a stage are shown, but not what a password stands for."""
    site, _ = used
    with site.client() as browser:
        text = browser.get("/pipelines/good").text
    assert (True, False) == ("password" in text, "hunter22" in text)


def test_secrets_among_the_usual_values_are_not_in_the_form(used):
    """Who may run a pipeline can give another password without seeing the usual one; left empty, that one counts."""
    site, _ = used
    with site.client() as browser:
        text = browser.get("/pipelines/takes").text
        assert (True, False) == ('name="p.api_token" value=""' in text, "hunter2233" in text)
        assert "set in the file, and hidden" in text
        given = []
        for typed in ("", "another99"):
            form = hidden(browser.get("/pipelines/takes").text, "/pipelines/takes/run")
            answer = browser.post("/pipelines/takes/run", data={**form, "p.count": "4", "p.api_token": typed})
            run_id = int(answer.headers["location"].rsplit("/", 1)[1])
            given.append(site.on_loop(lambda run_id=run_id: site.engine.reads.run(run_id)).params)
    assert [{"count": 4}, {"count": 4, "api_token": "another99"}] == given


def test_what_is_not_there_is_said_so(used):
    """Runs and pipelines that are not there answer 404."""
    site, _ = used
    with site.client() as browser:
        answers = [browser.get(path) for path in ("/runs/999999", "/runs/x%00", "/pipelines/<script>alert(1)", "/nope")]
    assert [404] * 4 == [answer.status_code for answer in answers]
    for answer in answers:
        assert "<h1>" in answer.text
        safe(answer.text)


def test_a_file_that_is_not_in_force_is_told_on_every_page(used):
    """While the newest pipelines file cannot be read, a banner says why; it goes once the file is good again."""
    site, _ = used
    path = site.project.folder / "pipelines.yml"
    good = path.read_text()

    def reload() -> None:
        with contextlib.suppress(ConfigError):
            site.on_loop(site.engine.reload.now)

    with site.client() as browser:
        path.write_text(good + "\nwrong: <script>alert(1)</script>\n")
        reload()
        broken = browser.get("/runs").text
        path.write_text(good)
        reload()
        mended = browser.get("/runs").text
    assert (True, False) == ("is not in force" in broken, "is not in force" in mended)
    safe(broken)


def test_a_run_is_made_by_the_form_once(used):
    """The form queues a run and leads to it; the same form sent twice makes no second one."""
    site, _ = used
    with site.client() as browser:
        form = hidden(browser.get("/pipelines/good").text, "/pipelines/good/run")
        first, second = (browser.post("/pipelines/good/run", data=form) for _ in range(2))
        assert (303, 303) == (first.status_code, second.status_code)
        assert first.headers["location"] == second.headers["location"]
        assert "That was done already." in browser.get(second.headers["location"]).text


def test_a_wrong_form_keeps_what_was_typed(used):
    """Parameters that do not fit are told on the page, which keeps what was typed."""
    site, _ = used
    with site.client() as browser:
        form = hidden(browser.get("/pipelines/takes").text, "/pipelines/takes/run")
        answer = browser.post(
            "/pipelines/takes/run", data={**form, "p.count": "<script>alert(1)", "p.plain": "kept-so"}
        )
        assert 422 == answer.status_code
        assert "expected a whole number from 1 to 9" in answer.text
        assert 'value="kept-so"' in answer.text
        assert '<body data-url="/pipelines/takes">' in answer.text
        safe(answer.text)
        good = browser.post("/pipelines/takes/run", data={**form, "p.count": "4", "p.region": "fi"})
        run_id = int(good.headers["location"].rsplit("/", 1)[1])
    run = site.on_loop(lambda: site.engine.reads.run(run_id))
    assert {"count": 4, "region": "fi"} == run.params


@pytest.mark.parametrize("path", ["/pipelines/good/run", "/runs/1/cancel", "/runs/1/again", "/schedules", "/logout"])
def test_forms_of_other_sites_are_refused(used, path):
    """Nothing changes without the page's own token, nor on the word of another site's page."""
    site, _ = used
    before = site.project.query("SELECT count(*) FROM audit")
    with site.client() as browser:
        form = hidden(browser.get("/pipelines/good").text, "/pipelines/good/run")
        bare = browser.post(path, data={})
        wrong = browser.post(path, data={**form, "csrf": "x" + form["csrf"][1:] + "é"})
        other = browser.post(path, data=form, headers={"Origin": "http://evil.example"})
    assert [403, 403, 403] == [bare.status_code, wrong.status_code, other.status_code]
    assert before == site.project.query("SELECT count(*) FROM audit")


def test_a_run_is_cancelled_and_run_again(used):
    """The buttons of a run cancel it and run it again; what is over cannot be cancelled, and the page says so."""
    site, _ = used
    run_id = site.started("waits")
    with site.client() as browser:
        text = browser.get(f"/runs/{run_id}").text
        form = hidden(text, f"/runs/{run_id}/cancel")
        assert (True, True) == ('value="40"' in text, "data-busy" in text)
        assert f"/runs/{run_id}" == browser.post(f"/runs/{run_id}/cancel", data=form).headers["location"]
        site.on_loop(lambda: site.engine.wait(run_id))
        late = {**form, "nonce": "another"}
        browser.post(f"/runs/{run_id}/cancel", data=late)
        text = browser.get(f"/runs/{run_id}").text
        assert "nothing to cancel" in text
        again = browser.post(f"/runs/{run_id}/again", data=hidden(text, f"/runs/{run_id}/again"))
        second = int(again.headers["location"].rsplit("/", 1)[1])
        until(lambda: second in site.engine.live, "it never ran again")
        form = hidden(browser.get(f"/runs/{second}").text, f"/runs/{second}/cancel")
        browser.post(f"/runs/{second}/cancel", data=form)
    ended = site.on_loop(lambda: site.engine.wait(second))
    assert (RunState.CANCELLED, "cancelled by local") == (ended.state, ended.reason)


def test_a_schedule_is_made_paused_resumed_removed_and_brought_back(used):
    """All that can be done to a schedule is done by forms, and each step is told."""
    site, _ = used
    with site.client() as browser:
        text = browser.get(
            "/schedules", params={"pipeline": "good", "when": "every monday at 08:00", "name": "mine"}
        ).text
        assert 5 == text.split('id="preview"')[1].split("</ol>")[0].count("<li>")
        made = browser.post("/schedules", data=hidden(text, "/schedules"))
        assert "The schedule mine is made: every Monday at 08:00." in _next(browser, made)

        def do(deed: str, **more: str) -> str:
            page = browser.get("/schedules").text
            path = f"/schedules/mine/{deed}"
            return _next(browser, browser.post(path, data={**hidden(page, path), **more}))

        assert "comes again and again" in do("pause", until="every day at 08:00")
        assert "is paused until" in do("pause", until="in 2 hours", reason="<script>alert(1)</script>")
        safe(browser.get("/schedules").text)
        assert "is active again" in do("resume")
        removed = do("remove")
        assert "is removed" in removed
        back = browser.post("/schedules/mine/restore", data=hidden(removed, "/schedules/mine/restore"))
        assert "is back" in _next(browser, back)
        do("remove")


def _next(browser, answer) -> str:
    assert 303 == answer.status_code, answer.text[-500:]
    return str(browser.get(answer.headers["location"]).text)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"when": "whenever"}, "whenever"),
        ({"when": "every day at 08:00", "zone": "Mars/Base"}, "Mars/Base"),
        ({"when": "every day at 08:00", "params": "nope=1"}, "takes no parameters"),
        ({"when": "every day at 08:00", "name": "good"}, "called"),
        ({"when": "every day at 08:00", "pipeline": "goood"}, "did you mean"),
    ],
)
def test_what_cannot_be_scheduled_is_told(used, typed, said):
    """A preview of what cannot be made says why and keeps what was typed; so does the form that makes it."""
    site, _ = used
    with site.client() as browser:
        page = browser.get("/schedules", params={"pipeline": "good", **typed})
        assert (422, True) == (page.status_code, said in page.text)
        assert f'value="{typed["when"]}"' in page.text
        good = browser.get("/schedules", params={"pipeline": "good", "when": "every day at 08:00"}).text
        form = {**hidden(good, "/schedules"), **typed}
        assert browser.post("/schedules", data=form).status_code in (422, 403)


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\nb"])
def test_nobody_is_sent_elsewhere(used, back):
    """After a form the browser goes to a page of ours, whatever the form says."""
    site, run_id = used
    with site.client() as browser:
        form = hidden(browser.get(f"/runs/{run_id}").text, f"/runs/{run_id}/again")
        answer = browser.post(f"/runs/{run_id}/cancel", data={**form, "back": back})
    assert (303, "/") == (answer.status_code, answer.headers["location"])


def test_pages_load_nothing_from_elsewhere(used):
    """No page names another host, and none has a script or a style of its own."""
    site, run_id = used
    with site.client() as browser:
        for path in (*PATHS, f"/runs/{run_id}"):
            text = browser.get(path).text
            links = re.findall(r'(?:src|href|action)="([^"]*)"', re.sub(r"<code>.*?</code>", "", text))
            assert [] == [link for link in links if not link.startswith(("/", "#"))]
            assert not re.search(r"<script(?![^>]*\ssrc=)|<style", text)
        assert [200, 200, 200] == [browser.get(f"/static/pipecall.{each}").status_code for each in ("css", "js", "svg")]


def test_the_hostile_text_is_what_it_should_be():
    """The text that the stages log has all that could break a page."""
    assert all(each in NASTY for each in ("<script>", "onerror", "{{7*7}}", "\u202e", "\x00"))
