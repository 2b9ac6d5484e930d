"""One running service, and the same verbs through each of its doors: what they do, what they leave, what they say.

Discord's commands and buttons have their own tests.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection

from pipelines.cli.frame import caller
from pipelines.model import Verb
from pipelines.store import deliveries, outbox, questions
from pipelines.store.deliveries import Bury, Take
from pipelines.store.outbox import Post
from pipelines.store.questions import Ask
from tests.doors import Console, Dashboard, Door, Python, Rest, Terminal
from tests.project import Project, Service, until

FILE = """
scheduler: {timezone: UTC, max_parallel_jobs: 4, default_retry: {attempts: 1}}
pipelines:
  quick: {executor: inline, params: {days: {type: int, default: 1, max: 9}}, schedule: {daily: "03:00"},
          chain: [every_door_stages.one]}
  slow: {executor: inline, max_instances: 9, schedule: {daily: "03:10"}, chain: [every_door_stages.wait]}
  wrong: {executor: inline, schedule: {daily: "03:20"}, params: {well: false}, chain: [every_door_stages.fail]}
"""
PLUGIN = """
import asyncio
from pipelines import current_run

def one(item):
    current_run().log.warning("counted the stock")

async def wait(item):
    await asyncio.Event().wait()

def fail(item):
    if not current_run().params["well"]:
        raise ValueError("no good")
"""
SOON = timedelta(seconds=1)
"""So soon after it was asked for in another process, the service has done it."""
DOORS = ("api", "web", "terminal", "python")
STATE = "SELECT state FROM runs WHERE id = ?"
TRIES = 3
"""So often at most it is measured how soon: the machine may be busy with something else just then."""
names = (f"job-{number}" for number in count(1))


@dataclass(frozen=True)
class House:
    """The service and its doors; `guests` are those for a viewer's token."""

    project: Project
    service: Service
    doors: dict[str, Any]
    guests: dict[str, Any]
    console: Console

    @property
    def python(self) -> Python:
        """The door that is quickest to prepare something through."""
        door: Python = self.doors["python"]
        return door

    def witness(self, door: str) -> Door:
        """Another door, through which one sees what was done by the first."""
        witness: Door = self.doors["web" if door == "api" else "api"]
        return witness

    def audited(self, after: int) -> list[tuple[Any, ...]]:
        """The rows of the audit that came after the one of this number."""
        columns = "verb, target, door, actor, allowed, missing"
        return self.project.query(f"SELECT {columns} FROM audit WHERE id > ? ORDER BY id", after)

    def last_audit(self) -> int:
        """The number of the newest row of the audit."""
        return int(self.one("SELECT coalesce(max(id), 0) FROM audit"))

    def one(self, statement: str, *values: Any) -> Any:
        """The only column of the only row that the store has for this; None where it has none."""
        rows = self.project.query(statement, *values)
        return rows[0][0] if rows else None

    def made(self, pipeline: str, state: str, **params: str) -> str:
        """The number of a new run of a pipeline, once it is in a state."""
        before = self.last_audit()
        assert self.doors["api"].run(pipeline, **params).done
        number = self.run_since(before)
        until(lambda: state == self.one(STATE, number), f"{pipeline} is never {state}")
        return str(number)

    def run_since(self, audit: int) -> int:
        """The number of the run that was asked for since a row of the audit."""
        return int(self.one("SELECT max(run_id) FROM audit WHERE id > ?", audit))

    def quick(self, door: str) -> Any:
        """A door that need not be a process of its own."""
        return self.console if door == "terminal" else self.doors[door]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service that runs for all tests of this file, with tokens made at the terminal."""
    project = Project(tmp_path_factory.mktemp("doors"), {"WEB": "on", "WEB_PORT": "0", "SCHEDULER_DRAIN_S": "1"})
    project.plugin("every_door_stages", PLUGIN)
    project.write(FILE)
    project.with_store()
    terminal, console = Terminal(project, caller().name), Console(project, caller().name)
    with pytest.MonkeyPatch.context() as patch, project.service() as service, ThreadPoolExecutor() as pool:
        patch.chdir(project.folder)
        patch.setattr(sys, "path", list(sys.path))
        for name, value in project.environment.items():
            patch.setenv(name, value)
        admin, viewer = pool.map(terminal.token, ("boss", "guest"), ("admin", "viewer"))
        service.wait_for("web: http://")
        service.wait_for("ready")
        address = service.said.split("web: ", 1)[1].split()[0]
        doors = {
            "api": Rest(address, admin, "boss"),
            "web": Dashboard(address, admin, "boss"),
            "terminal": terminal,
            "python": Python(project),
        }
        guests = {"api": Rest(address, viewer, "guest"), "web": Dashboard(address, viewer, "guest")}
        yield House(project, service, doors, guests, console)
        for each in (doors["api"], doors["web"], *guests.values()):
            each.close()
        assert 0 == service.stop()
    sys.modules.pop("every_door_stages", None)


# ---------------------------------------------------------------- what each verb does


@dataclass(frozen=True)
class Deed:
    """Something that people ask for: `doors` have it, `prepare` returns what it is done to.

    `store` is a query of one value, which then is `then`; `sight` is the state in which another door shows the run or
    the job (None: it shows none). `verb` and `target` are what the audit calls it.
    """

    doors: tuple[str, ...]
    verb: Verb
    prepare: Callable[[House], str]
    store: str
    then: Any
    sight: tuple[str, str] | None = None
    target: Callable[[House, str], str | None] = lambda _, subject: subject


def job(house: House, *, paused: bool = False, removed: bool = False) -> str:
    """Make a job."""
    made, door = next(names), house.doors["api"]
    assert door.schedule(made).done
    assert not paused or door.pause(made).done
    assert not removed or door.remove(made).done
    return made


def muted(house: House) -> str:
    """Mute a pipeline."""
    assert house.doors["api"].mute("quick").done
    return "quick"


def incident(house: House) -> str:
    """Have new trouble of a pipeline; return its number."""
    house.made("wrong", "succeeded", well="yes")
    newest = "SELECT coalesce(max(id), 0) FROM incidents"
    before = house.one(newest)
    house.made("wrong", "failed")
    until(lambda: house.one(newest) > before, "no incident is opened")
    return str(house.one(newest))


def question(house: House) -> str:
    """Ask about an instant that a job has missed; return the question's number."""
    now = datetime.now(UTC)
    asked = Ask(job(house), "quick", "nowhere:1", [now - timedelta(hours=1)], now)
    return str(house.python.write(questions.ask, asked))


def refused(house: House) -> str:
    """Have a message that was refused for good; return its key."""
    key = next(names)
    assert house.python.write(_bury, key)
    return key


def _bury(conn: Connection, keys: list[str]) -> list[bool]:
    now = datetime.now(UTC)
    outbox.post(conn, [Post(f"nowhere:{keys[0]}", "message", keys[0], {}, now)])
    (parcel,) = deliveries.claim(conn, [Take(f"nowhere:{keys[0]}", now)])
    assert parcel is not None
    return deliveries.bury(conn, [Bury(parcel.id, "no")])


ALL, SOME, PROGRAMS = DOORS, ("api", "web", "python"), ("api", "python")
JOB = "SELECT state FROM schedules WHERE id = ?"
MUTED = "SELECT count(*) FROM mutes WHERE pipeline = ? AND until IS NULL"
DEEDS: Mapping[str, Deed] = {
    "cancel": Deed(
        *(ALL, Verb.CANCEL, lambda house: house.made("slow", "running")),
        *(STATE, "cancelled", ("run", "cancelled"), lambda _, number: f"#{number}"),
    ),
    "schedule": Deed(ALL, Verb.SCHEDULE, lambda _: next(names), JOB, "active", ("job", "active")),
    "pause": Deed(ALL, Verb.PAUSE, job, JOB, "paused", ("job", "paused")),
    "resume": Deed(ALL, Verb.RESUME, lambda house: job(house, paused=True), JOB, "active", ("job", "active")),
    "remove": Deed(ALL, Verb.REMOVE, job, JOB, "retired", ("job", "")),
    "restore": Deed(SOME, Verb.SCHEDULE, lambda house: job(house, removed=True), JOB, "active", ("job", "active")),
    "mute": Deed(SOME, Verb.MUTE, lambda _: "quick", MUTED, 1),
    "unmute": Deed(SOME, Verb.MUTE, muted, MUTED, 0),
    "redeliver": Deed(
        *(PROGRAMS, Verb.REDELIVER, refused, "SELECT count(*) FROM outbox WHERE dedupe_key = ? AND state = 'dead'", 0),
        target=lambda *_: None,
    ),
    "acknowledge": Deed(
        *(PROGRAMS, Verb.MUTE, incident, "SELECT acknowledged_by IS NOT NULL FROM incidents WHERE id = ?", 1),
        target=lambda *_: "wrong",
    ),
    "make_up": Deed(
        *(SOME, Verb.RUN, question, "SELECT choice FROM questions WHERE id = ?", "skip"),
        target=lambda house, number: house.one("SELECT schedule_id FROM questions WHERE id = ?", number),
    ),
}


@pytest.mark.parametrize(("name", "door"), [(name, door) for name, deed in DEEDS.items() for door in deed.doors])
def test_what_is_asked_for_is_done_seen_elsewhere_and_recorded_once(house, name, door):
    """It takes effect in the store, is seen through another door, and leaves one row that names door and person."""
    deed, asked = DEEDS[name], house.doors[door]
    subject, before = deed.prepare(house), house.last_audit()
    answer = getattr(asked, name)(subject)
    assert answer.done, answer.words
    until(lambda: deed.then == house.one(deed.store, subject), f"{name} through {door} had no effect")
    if deed.sight is not None:
        look = getattr(house.witness(door), f"{deed.sight[0]}_state")
        until(lambda: deed.sight[1] == look(subject), f"{name} through {door} is not seen elsewhere")
    row = (deed.verb, deed.target(house, subject), door, asked.actor, 1, None)
    assert [row] == house.audited(before)


@pytest.mark.parametrize("door", DOORS)
def test_a_run_is_started_shown_and_read(house, door):
    """A run that is asked for anywhere is executed with what was given; each door shows its state and its log."""
    asked, before = house.doors[door], house.last_audit()
    assert asked.run("quick", days="3").done
    number = house.run_since(before)
    until(lambda: "succeeded" == house.one(STATE, number), f"the run through {door} never succeeded")
    assert ('{"days":3}', asked.actor) == house.project.query("SELECT params, actor FROM runs WHERE id = ?", number)[0]
    look, witness = house.quick(door), house.witness(door)
    assert ("succeeded", "succeeded") == (look.run_state(str(number)), witness.run_state(str(number)))
    until(lambda: "counted the stock" in look.log(str(number)), f"{door} does not show the log")
    assert [("run", "quick", door, asked.actor, 1, None)] == house.audited(before)


@pytest.mark.parametrize("door", ["terminal", "python"])
def test_the_service_does_within_a_second_what_is_asked_for_elsewhere(house, door):
    """By the times in the store: from the request to the start of a run, and from the wish to its end."""
    asked = house.quick(door)
    for _ in range(TRIES):
        before = house.last_audit()
        assert asked.run("slow").done
        number = house.run_since(before)
        until(lambda number=number: "running" == house.one(STATE, number), "it never ran")
        assert asked.cancel(str(number)).done
        until(lambda number=number: "cancelled" == house.one(STATE, number), "it was never cancelled")
        delays = _delays(house, before, number)
        if max(delays) < SOON:
            return
    raise AssertionError(f"the service took {delays}")


def _delays(house: House, before: int, number: int) -> list[timedelta]:
    asked = [_instant(at) for (at,) in house.project.query("SELECT at FROM audit WHERE id > ? ORDER BY id", before)]
    ((*done,),) = house.project.query("SELECT started_at, ended_at FROM runs WHERE id = ?", number)
    return [_instant(then) - at for at, then in zip(asked, done, strict=True)]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ---------------------------------------------------------------- what is wrong, and who may not


def over(house: House) -> str:
    """Have a run that is over; return its number."""
    return house.made("quick", "succeeded")


@dataclass(frozen=True)
class Wrong:
    """A request that cannot be met: a verb, what it is about (None: what `prepare` returns), what is given besides."""

    verb: str
    subject: str | None
    given: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[House], str] = over


def decided(house: House) -> str:
    """Have a question that somebody has answered; return its number."""
    number = question(house)
    assert house.doors["api"].make_up(number).done
    return number


WRONG: Mapping[str, Wrong] = {
    "no pipeline to run": Wrong("run", "quikc"),
    "no pipeline to schedule": Wrong("schedule", "any", {"pipeline": "quikc"}),
    "a bad parameter": Wrong("run", "quick", {"days": "soon"}),
    "a parameter out of bounds": Wrong("run", "quick", {"days": "99"}),
    "a run that is over": Wrong("cancel", None),
    "no such run": Wrong("cancel", "99999999"),
    "no job to pause": Wrong("pause", "quikc"),
    "no job to resume": Wrong("resume", "quikc"),
    "no job to remove": Wrong("remove", "quikc"),
    "no job to bring back": Wrong("restore", "quick"),
    "a job that is not paused": Wrong("resume", "quick"),
    "a job of the file to remove": Wrong("remove", "quick"),
    "words that are no time": Wrong("schedule", "any", {"when": "every blue moon"}),
    "a time that never comes": Wrong("schedule", "any", {"when": "0 0 30 2 *"}),
    "a name that is taken": Wrong("schedule", "slow"),
    "a name that is none": Wrong("schedule", "a b"),
    "no pipeline to mute": Wrong("mute", "quikc"),
    "no such question": Wrong("make_up", "99999999"),
    "a question that is decided": Wrong("make_up", None, prepare=decided),
    "no such incident": Wrong("acknowledge", "99999999"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_in_the_same_words_through_every_door(house, name):
    """The engine's own words are in each answer, and nothing was changed or recorded."""
    wrong = WRONG[name]
    subject = wrong.subject or wrong.prepare(house)
    before = house.last_audit()
    told = getattr(house.python, wrong.verb)(subject, **wrong.given)
    assert not told.done
    doors = (house.doors["api"], house.doors["web"], house.console)
    for door in (each for each in doors if hasattr(each, wrong.verb)):
        answer = getattr(door, wrong.verb)(subject, **wrong.given)
        assert not answer.done, f"{door.name} did it"
        assert told.words in answer.words, f"{door.name} said something else than {told.words!r}"
    assert [] == house.audited(before)


@pytest.mark.parametrize("name", [*DEEDS, "run"])
def test_who_may_only_look_is_refused_and_recorded(house, name):
    """REST and dashboard refuse a viewer's request with the same words, and each refusal is one row."""
    deed = DEEDS.get(name)
    subject = deed.prepare(house) if deed is not None else "quick"
    target = deed.target(house, subject) if deed is not None and name != "schedule" else "quick"
    verb, state = deed.verb if deed is not None else Verb.RUN, house.one(deed.store, subject) if deed else None
    needed = "admin" if verb in (Verb.REMOVE, Verb.REDELIVER, Verb.RELOAD) else "operator"
    missing = f"it needs {needed}; you are viewer"
    for door in (each for each in house.guests.values() if hasattr(each, name)):
        before = house.last_audit()
        answer = getattr(door, name)(subject)
        assert 403 == answer.status, answer.words
        assert f"you may not {verb} {target or 'anything here'}: {missing}" in answer.words
        assert [(verb, target, door.name, "guest", 0, missing)] == house.audited(before)
    assert deed is None or state == house.one(deed.store, subject)


def test_the_terminal_knows_where_the_web_is(house):
    """What the service says of itself names the address of REST and dashboard, from its first seconds on."""
    told, address = house.console.status(), house.service.said.split("web: ", 1)[1].split()[0]
    assert (True, address) == (told["running"], told["web"])
