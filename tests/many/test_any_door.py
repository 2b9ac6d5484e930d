"""Two schedulers on one store: what is asked of one is in force in the other at once, and happens once in all."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from time import monotonic
from typing import Any

import pytest

from pipelines import PipelineScheduler
from pipelines.model import Actor, Asked, Role
from pipelines.store import questions
from pipelines.store.questions import Ask
from pipelines.verbs import Verbs
from tests.doors import Answer, Console
from tests.project import DEADLINE_S, Project, until
from tests.servers import fresh_schema
from tests.web.pages.site import Site

FILE = """
scheduler: {timezone: UTC, max_parallel_jobs: 4, default_retry: {attempts: 1}}
alerts: {channel_id: 5, "on": [failure]}
pipelines:
  quick: {executor: inline, schedule: {id: quick-daily, daily: "03:00"}, chain: [any_door_stages.one]}
  waits: {executor: inline, max_instances: 9, schedule: {daily: "03:10"}, chain: [any_door_stages.Wait]}
  wrong: {executor: inline, schedule: {daily: "03:20"}, chain: [any_door_stages.fail]}
  at-start: {executor: inline, chain: [any_door_stages.one]}
"""
PLUGIN = """
import asyncio
from pipelines import Fetcher, current_run

def one(item):
    return 1

def fail(item):
    raise ValueError("no good")

class Wait(Fetcher):
    async def fetch(self):
        current_run().progress(0.4, "at the gate")
        yield 1
        await asyncio.Event().wait()
"""
SOON_S = 3.0
"""So soon, in seconds, what one scheduler was asked for is in force in the other, also on a machine that is busy."""
TRIES = 3
"""So often at most it is measured how soon: the machine may be busy with something else just then."""
OLGA = Asked(Actor("discord:7", "olga", level=Role.ADMIN), "discord")
names = (f"job-{number}" for number in count(1))


@dataclass(frozen=True)
class Two:
    """The schedulers: `leader` leads, `other` waits for its turn; `console` is the terminal beside them."""

    project: Project
    leader: Site
    other: Site
    console: Console

    @property
    def sites(self) -> tuple[Site, Site]:
        """Both."""
        return self.leader, self.other

    def ask(self, site: Site, method: str, path: str, **more: Any) -> Any:
        """Ask for something over REST."""
        with site.client() as client:
            return client.request(method, f"/api{path}", **more)

    def seen(self, site: Site, path: str) -> Any:
        """Look at something over REST."""
        return self.ask(site, "GET", path).raise_for_status().json()

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read from the store."""
        return self.project.query(statement, *values)

    def waits(self) -> tuple[int, Site, Site]:
        """Have a run begin that waits for ever; its number, who executes it, and who does not."""
        number = int(self.ask(self.other, "POST", "/pipelines/waits/runs", json={}).json()["id"])
        until(lambda: any(number in each.engine.live for each in self.sites), "nobody executes the run")
        here = next(each for each in self.sites if number in each.engine.live)
        return number, here, next(each for each in self.sites if each is not here)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Iterator[Two]:
    """Both schedulers, each with its own loop, sessions and web, over a schema of their own."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(sys, "path", list(sys.path))
        project = Project(tmp_path_factory.mktemp("doors"), server=stack.enter_context(fresh_schema()))
        project.write(FILE)
        project.plugin("any_door_stages", PLUGIN)
        sites = [stack.enter_context(Site(project, scheduler_reload="off").serving()) for _ in range(2)]
        for site in sites:
            site.on_loop(lambda site=site: _begun(site))
        until(lambda: any(each.engine.leading.leadership.leads for each in sites), "nobody leads")
        for site in sites:
            with site.client() as client:  # one after the other: both build all their routes now, in one process
                assert 404 == client.get("/api/nowhere").status_code
        leader, other = sorted(sites, key=lambda each: not each.engine.leading.leadership.leads)
        patch.chdir(project.folder)
        for name in ("SCHEDULER_DB_URL", "WEB"):
            patch.setenv(name, project.environment[name])
        yield Two(project, leader, other, Console(project, "me"))
    sys.modules.pop("any_door_stages", None)


async def _begun(site: Site) -> None:
    await site.engine.run_unscheduled()
    site.engine.start_monitoring()
    while not site.engine.reload._seen:
        await asyncio.sleep(0.01)


def took_s(change: Callable[[], object], seen: Callable[[], bool], what: str) -> float:
    """Make a change; return how many seconds later it is seen."""
    change()
    at = monotonic()
    until(seen, f"{what} is never seen")
    return monotonic() - at


def state_of(two: Two, site: Site, job: str) -> tuple[str, bool]:
    """The state of a job at a scheduler, and whether its next run is known there."""
    found = [each for each in two.seen(site, "/schedules") if each["id"] == job]
    return (found[0]["state"], found[0]["next_due_at"] is not None) if found else ("gone", False)


def by_rest(site: Callable[[Two], Site]) -> Callable[[Two, str, str], Answer]:
    """Ask a scheduler over REST for something about a job."""

    def ask(two: Two, deed: str, job: str) -> Answer:
        wish = {"pipeline": "quick", "when": "every day at 05:00", "name": job}
        method, path, body = {
            "add": ("POST", "", wish),
            "pause": ("POST", f"/{job}/disable", None),
            "resume": ("POST", f"/{job}/enable", None),
            "remove": ("DELETE", f"/{job}", None),
        }[deed]
        answer = two.ask(site(two), method, f"/schedules{path}", json=body)
        return Answer(answer.is_success, answer.text, answer.status_code)

    return ask


def by_terminal(two: Two, deed: str, job: str) -> Answer:
    """Ask at a terminal."""
    console = two.console
    return {"add": console.schedule, "pause": console.pause, "resume": console.resume, "remove": console.remove}[deed](
        job
    )


def by_chat(two: Two, deed: str, job: str) -> Answer:
    """Ask as the bot does, which is where the leader is."""

    async def work() -> Answer:
        verbs = Verbs(two.leader.engine)
        if deed == "add":
            await verbs.schedule(OLGA, "quick", {"daily": "05:00"}, timezone="UTC", name=job)
        else:
            await {"pause": verbs.pause, "resume": verbs.resume, "remove": verbs.remove}[deed](OLGA, job)
        return Answer(True, "")

    answer: Answer = two.leader.on_loop(work)
    return answer


DOORS = {
    "REST of the leader": by_rest(lambda two: two.leader),
    "REST of the other": by_rest(lambda two: two.other),
    "terminal": by_terminal,
    "chat": by_chat,
}


@pytest.mark.parametrize("door", DOORS)
def test_a_job_is_in_force_everywhere(two, door):
    """Made, paused, resumed and removed: both show it so at once, with its next run, and both time it so."""
    slowest = _quickest(lambda: _life_of_a_job(two, DOORS[door]))
    assert slowest <= SOON_S


def _quickest(measure: Callable[[], float]) -> float:
    """Measure until it was quick enough, or often enough."""
    measured = []
    while len(measured) < TRIES and (not measured or measured[-1] > SOON_S):
        measured.append(measure())
    return min(measured)


def _life_of_a_job(two: Two, ask: Callable[[Two, str, str], Answer]) -> float:
    """Make a job and change it until it is gone; return how long the slowest of it took, in seconds."""
    job = next(names)

    def change(deed: str) -> None:
        answer = ask(two, deed, job)
        assert answer.done, answer.words

    def seen(state: str, due: bool) -> bool:
        timed = [job in each.engine.timetable._keys for each in two.sites]
        return [(state, due)] * 2 == [state_of(two, each, job) for each in two.sites] and timed == [due] * 2

    states = {
        "add": ("active", True),
        "pause": ("paused", False),
        "resume": ("active", True),
        "remove": ("gone", False),
    }
    return max(
        took_s(partial(change, deed), partial(seen, *state), f"{deed} of a job") for deed, state in states.items()
    )


def test_a_job_made_at_the_other_is_due_at_the_leader(two):
    """The leader's timetable follows: a job of every second, made where nobody leads, has runs; then it is removed."""
    job = next(names)
    two.ask(two.other, "POST", "/schedules", json={"pipeline": "quick", "when": "every second", "name": job})
    until(lambda: bool(two.rows("SELECT 1 FROM runs WHERE schedule_id = ?", job)), "it is never due")
    assert two.ask(two.other, "DELETE", f"/schedules/{job}").is_success
    until(lambda: job not in two.leader.engine.jobs.rows, "the leader never knows that it is gone")


def test_one_name_is_given_once(two):
    """Two people make jobs of one name at two schedulers at one time: one has it, the other is told in clear words."""
    for _ in range(5):
        job = next(names)
        with ThreadPoolExecutor(2) as people:
            answers = list(people.map(partial(_add, two, job), two.sites))
        assert [201, 409] == sorted(each.status for each in answers)
        (refused,) = [each for each in answers if not each.done]
        assert f"job is called '{job}' already; give this one another name" in refused.words
        assert [(1,)] == two.rows("SELECT count(*) FROM schedules WHERE id = ?", job)


def _add(two: Two, job: str, site: Site) -> Answer:
    return by_rest(lambda _: site)(two, "add", job)


def test_one_key_makes_one_run(two):
    """A request with the same key that reaches both schedulers at one time has one run, told to both callers."""
    for number in range(5):

        def run(site: Site, number: int = number) -> Any:
            return two.ask(site, "POST", "/pipelines/quick/runs", json={}, headers={"Idempotency-Key": f"k{number}"})

        with ThreadPoolExecutor(2) as people:
            answers = list(people.map(run, two.sites))
        assert [200, 202] == sorted(each.status_code for each in answers), [each.text for each in answers]
        assert 1 == len({each.json()["id"] for each in answers})


def test_one_answer_decides(two):
    """Two people answer a question about missed runs at two schedulers at one time: the first decides, for both."""
    at = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
    wish = Ask("quick-daily", "quick", "log:alerts", [at], datetime.now(UTC))
    number = int(two.leader.on_loop(lambda: two.leader.engine.writer.call(questions.ask, wish)))

    def answer(given: tuple[Site, str]) -> Any:
        return two.ask(given[0], "POST", f"/questions/{number}/answer", json={"choice": given[1]})

    with ThreadPoolExecutor(2) as people:
        answers = list(people.map(answer, zip(two.sites, ("skip", "latest"), strict=True)))
    assert [200, 409] == sorted(each.status_code for each in answers), [each.text for each in answers]
    (refused,) = [each for each in answers if each.is_error]
    assert "decided" in refused.text or "answered" in refused.text


def test_a_run_is_followed_and_cancelled_from_where_it_is_not(two):
    """Pages and REST of who does not execute a run show how far it is, and a cancel there ends it at once."""

    def measure() -> float:
        number, _, elsewhere = two.waits()
        with elsewhere.client() as client:
            until(lambda: "at the gate" in client.get(f"/runs/{number}").text, "its page never shows how far it is")
            until(lambda: "at the gate" in client.get("/").text, "the overview never shows how far it is")
            assert "at the gate" in client.get(f"/api/runs/{number}").text
        return took_s(
            lambda: two.ask(elsewhere, "POST", f"/runs/{number}/cancel"),
            lambda: two.seen(elsewhere, f"/runs/{number}")["run"]["state"] == "cancelled",
            "the end of a run that was cancelled elsewhere",
        )

    assert _quickest(measure) <= SOON_S


def test_the_streams_of_both_tell_of_a_run(two):
    """Who listens to events at either scheduler hears that a run goes on, and that it is over."""
    told: dict[Site, list[str]] = {site: [] for site in two.sites}

    def listen(site: Site) -> None:
        with site.client() as client, client.stream("GET", "/api/events") as stream:
            for line in stream.iter_lines():
                told[site].append(line)
                if '"cancelled"' in line:
                    return

    listening = [threading.Thread(target=listen, args=(site,)) for site in two.sites]
    for each in listening:
        each.start()
    until(lambda: all(told.values()), "nobody is heard")
    number, *_ = two.waits()
    until(lambda: all(_told(lines, number, "running") for lines in told.values()), "nobody is told that it goes on")
    two.ask(two.leader, "POST", f"/runs/{number}/cancel")
    until(lambda: all(_told(lines, number, "cancelled") for lines in told.values()), "nobody is told of the end")
    for each in listening:
        each.join(DEADLINE_S)


def _told(lines: list[str], number: int, word: str) -> bool:
    return any(word in line and f"{number}" in line for line in lines)


def test_a_terminal_follows_a_run_to_its_end(two):
    """`pipecall run` of what a scheduler executes names it, and ends with it: with 1, as it was cancelled."""
    before = _new(two, set())
    command = [sys.executable, "-m", "pipelines", "run", "waits"]
    env, pipe = two.project.environment, subprocess.PIPE
    with subprocess.Popen(command, cwd=two.project.folder, env=env, stdout=pipe, stderr=pipe, text=True) as terminal:
        until(lambda: bool(_new(two, before)), "the run never begins")
        (number,) = _new(two, before)
        two.ask(two.other, "POST", f"/runs/{number}/cancel")
        said, _ = terminal.communicate(timeout=DEADLINE_S)
    assert (1, True, True) == (terminal.returncode, f"waits #{number}" in said, "cancelled" in said), said


def _new(two: Two, before: set[int]) -> set[int]:
    running = two.rows("SELECT id FROM runs WHERE pipeline = 'waits' AND state = 'running'")
    return {number for (number,) in running} - before


def test_an_alert_is_told_once_and_follows_what_people_say(two):
    """One message for a failure, though two watch; acknowledged at the other it is changed, once."""
    two.other.ran("wrong")
    alerts = "SELECT body ->> 'tell' FROM outbox WHERE kind = 'alert' ORDER BY id"
    until(lambda: bool(two.rows(alerts)), "nobody is alerted")
    ((incident,),) = two.rows("SELECT id FROM incidents WHERE pipeline = 'wrong'")
    assert two.ask(two.other, "POST", f"/incidents/{incident}/acknowledge").is_success
    until(lambda: len(two.rows(alerts)) > 1, "the message is never changed")
    assert [("alert",), ("change",)] == two.rows(alerts)


def test_a_mute_is_seen_everywhere(two):
    """Muted at one, muted at the other."""
    for site, verb, muted in ((two.leader, "mute", True), (two.other, "unmute", False)):
        assert two.ask(site, "POST", f"/pipelines/wrong/{verb}").is_success
        for each in two.sites:
            with each.client() as client:
                assert muted == ("/pipelines/wrong/unmute" in client.get("/pipelines/wrong").text)


def test_a_reload_is_for_all_and_told_once(two):
    """Asked for at one, both have the new file in force though they do not watch it, and people read of it once."""
    told = "SELECT count(*) FROM outbox WHERE kind = 'reload'"
    ((before,),) = two.rows(told)
    two.project.write(f"{FILE}  more: {{enabled: false, chain: [any_door_stages.one]}}\n")
    two.other.on_loop(lambda: Verbs(two.other.engine).reload(OLGA))
    until(lambda: all("more" in each.engine.catalog.pipelines for each in two.sites), "it is never in force in both")
    until(lambda: two.rows(told) > [(before,)], "nobody is told")
    for each in two.sites:  # what either wrote of it is in the store before this
        each.on_loop(lambda site=each: site.engine.writer.call(questions.expire, datetime.now(UTC)))
    assert [(before + 1,)] == two.rows(told)


def test_what_has_no_schedule_runs_once_at_the_start(two):
    """Each pipeline without a schedule has one run, not one for each scheduler that started."""
    assert [("at-start",)] == two.rows("SELECT pipeline FROM runs WHERE started_by = 'startup'")


def test_what_must_happen_once_is_done_by_the_leader_alone(two):
    """Delivery, alerts, closing of questions, heartbeats, retention: tasks of the one that leads, and of no other."""
    leading, others = ({*each.engine.leading._tasks} for each in two.sites)
    assert {"delivery", "alerts", "questions", "heartbeat", "retention", "pauses", "serving"} <= leading
    assert set() == others


def test_a_python_program_beside_them_has_its_own_jobs(two, tmp_path, monkeypatch):
    """A program without a pipelines file runs its functions when due, though another leads; the file's jobs stay."""
    monkeypatch.chdir(tmp_path)
    ran = "SELECT 1 FROM runs WHERE schedule_id = 'hello' AND state = 'succeeded'"
    with PipelineScheduler(db_url=two.project.store_url, web="off", _env_file=None) as program:
        program.add_interval_job(lambda: "hello", seconds=1, job_id="hello")
        until(lambda: bool(two.rows(ran)), "the function is never called")
    assert [("active",)] == two.rows("SELECT state FROM schedules WHERE id = 'quick-daily'")
    assert "quick-daily" in two.leader.engine.jobs.rows
