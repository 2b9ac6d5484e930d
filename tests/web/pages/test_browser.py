"""The dashboard in a real browser: by mouse and by keyboard, at a desk and on a phone, in light and dark."""

from __future__ import annotations

import os
import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from pipelines.store import processes
from pipelines.store.processes import Beat
from tests.others import process
from tests.project import until
from tests.web.pages.site import LONG, NASTY

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
)
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium():
    """The system's Chromium; skips where there is none, and fails where CI must have one."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Chromium in PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def used(site):
    """A site beside which a worker fell silent and runs have been; the ids of a failed one, and of one that goes on."""
    lost = process(f"lost{NASTY[:60]}", host=LONG, queues=frozenset({"default", NASTY[:90].replace(chr(0), "")}))
    site.on_loop(lambda: site.engine.writer.call(processes.beat, Beat(lost)))
    site.on_loop(site.engine.reads.machines)
    site.ran("good")
    return site, site.ran(LONG), site.started("waits")


@pytest.fixture
def opened(chromium, used):
    """Opens pages; at the end nothing was wrong in any console, and no other host was asked for anything."""
    site, _, _ = used
    wrong, contexts = [], []

    def tell(page) -> None:
        page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(site.address) else wrong.append(asked.url))

    def open_page(path: str, size=DESK, scheme="light", **more):
        context = chromium.new_context(viewport=size, color_scheme=scheme, base_url=site.address, **more)
        contexts.append(context)
        page = context.new_page()
        tell(page)
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [] == wrong


def paths(failed: int, running: int) -> tuple[str, ...]:
    """Every kind of page."""
    more = ("/schedules?pipeline=good&when=every+monday+at+08:00", f"/runs/{failed}", f"/runs/{running}")
    return (
        "/",
        "/pipelines",
        f"/pipelines/{LONG}",
        "/pipelines/takes",
        "/runs",
        "/calendar",
        "/missed",
        "/audit",
        "/machines",
        *more,
    )


EXAMINE = """axe.run({resultTypes: ["violations"]}).then(found => [
    document.documentElement.scrollWidth,
    found.violations.map(each => [each.id, each.nodes.map(node => node.html.slice(0, 200))]),
])"""


def test_pages_are_accessible_and_fit(used, opened):
    """On no page axe finds a fault, at a desk in light and on a phone in dark; none has to be moved sideways."""
    _, failed, running = used
    page, axe, faults = opened("/audit"), Axe().axe_script, {}
    for path in paths(failed, running):
        page.goto(path)
        page.evaluate(axe)
        for size, scheme in ((DESK, "light"), (PHONE, "dark")):
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            wide, found = page.evaluate(EXAMINE)
            if found or wide > size["width"]:
                faults[path, scheme] = (wide, found)
        page.set_viewport_size(DESK)
    assert {} == faults


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_run_cancel_and_run_again_by_mouse(used, opened, size):
    """A run is started on its pipeline's page, cancelled on the overview once that is confirmed, and run again."""
    site, _, _ = used
    page = opened("/", size)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Pipelines").click()
    page.get_by_role("link", name="waits", exact=True).click()
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("is queued.")).to_be_visible()
    expect(page.locator("h1").get_by_text("running")).to_be_visible(timeout=10_000)
    own = page.url.rsplit("/", 1)[1]
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name=f"Cancel run #{own}").click()
    page.get_by_role("dialog").get_by_role("button", name="No").click()
    expect(page.get_by_role("button", name=f"Cancel run #{own}")).to_be_visible()
    page.get_by_role("button", name=f"Cancel run #{own}").click()
    page.get_by_role("dialog").get_by_role("button", name="Yes").click()
    expect(page.get_by_text("is being cancelled.")).to_be_visible()
    expect(page.locator("#recent").get_by_role("link", name=f"#{own}")).to_be_visible(timeout=10_000)
    page.locator("#recent").get_by_role("link", name=f"#{own}").click()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text(f"is queued, as #{own} was.")).to_be_visible()
    second = int(page.url.rsplit("/", 1)[1])
    site.on_loop(lambda: site.engine.cancel(second))
    expect(page.locator("h1").get_by_text("cancelled")).to_be_visible(timeout=10_000)


def test_run_cancel_and_run_again_by_keyboard(used, opened):
    """All of it works without a mouse: the skip link, a run, its cancel with the question before it, and again."""
    _site, _, running = used
    page = opened(f"/runs/{running}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for name in ("Cancel", "Run again"):
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent").strip() == name:
                break
        expect(page.get_by_role("button", name=name, exact=True)).to_be_focused()
        if name == "Cancel":
            page.keyboard.press("Enter")
            expect(page.get_by_role("dialog")).to_be_visible()
            expect(page.get_by_role("dialog").get_by_role("button", name="No")).to_be_focused()
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            expect(page.locator("h1").get_by_text("cancelled")).to_be_visible(timeout=10_000)
        else:
            page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("is queued, as"))).to_be_visible()
    expect(page.locator("h1").get_by_text("running")).to_be_visible(timeout=10_000)


def test_news_that_come_amid_the_question_take_no_answer_away(used, opened):
    """A page that is brought up to date while somebody is asked whether a run shall be cancelled cancels it on Yes."""
    site, _, _ = used
    run, held = site.started("waits"), []
    page = opened("/audit")
    page.route(f"**/runs/{run}", lambda it: held.append(it) if "x-refresh" in it.request.headers else it.continue_())
    page.goto(f"/runs/{run}")
    until(lambda: page.evaluate("true") and bool(held), "the page was not brought up to date")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    answer = held[0].fetch()
    with page.expect_request(lambda asked: "x-refresh" in asked.headers):  # the next one: that answer was dealt with
        held[0].fulfill(
            response=answer, body=answer.text().replace('<dl class="facts">', '<p>New</p><dl class="facts">')
        )
        page.wait_for_function("() => document.querySelector('[data-live-state]').textContent === ''")
        page.unroute(f"**/runs/{run}")
        page.get_by_role("dialog").get_by_role("button", name="Yes").click()
        expect(page.get_by_text("is being cancelled.")).to_be_visible()


def test_without_script_all_of_it_works(used, opened):
    """A browser without script runs a pipeline, sees what became of it, and reads times in the scheduler's zone."""
    page = opened("/pipelines/good", java_script_enabled=False)
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("is queued.")).to_be_visible()
    page.reload()
    expect(page.locator("h1")).to_contain_text("succeeded")


def test_light_and_dark_are_remembered(opened):
    """The toggle turns the page dark, and the next page is dark from its first moment."""
    page = opened("/")
    page.get_by_role("button", name="Dark").click()
    page.goto("/runs")
    assert "dark" == page.evaluate("document.documentElement.dataset.scheme")
    assert 'data-scheme="dark"' in page.request.get("/runs").text()
