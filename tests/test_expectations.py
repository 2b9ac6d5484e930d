"""What is expected of a pipeline: successes that are missing, slow or empty runs, from the file to the message."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pipelines.expectations import KNOWN_NOTE, spelt
from pipelines.model import IncidentKind, NewRun, Outcome, RunState, StageCount, StartedBy
from pipelines.store import ends, history, notes, runs, troubles
from tests.loading import temporary_folder
from tests.test_alerts import Desk, opened

CODE = """
from pipelines import Fetcher, Sink


class One(Fetcher):
    async def fetch(self):
        yield {"n": 1}


class Save(Sink):
    async def handle(self, item): ...
"""
FILE = """
alerts: {channel_id: 7}
pipelines:
  prices:
    expect: {every: 1d, grace: 30m, max_duration: 10m, min_items: 2}
    chain: [pipelines.transforms.Log]
  stock:
    chain: [pipelines.transforms.Log]
"""


@pytest.fixture
async def desk(project):
    project.write(FILE)
    async with opened(project) as desk:
        yield desk


async def begin(desk: Desk, pipeline: str = "prices"):
    """Have a run begin."""
    new = await desk.writer.call(runs.insert_runs, NewRun(pipeline, StartedBy.MANUAL))
    (run,) = await desk.writer.call(runs.claim, runs.Claim(1, "here", desk.now, frozenset({new.id})))
    desk.alerts.happened(run)
    return run


async def finish(desk: Desk, run, state: RunState = RunState.SUCCEEDED, items: int = 2):
    """Have a run end, with so many items out."""
    outcome = Outcome(state, stages=(StageCount(0, "Log", items, items, 0.1),))
    least = 2 if run.pipeline == "prices" else 0
    await desk.writer.call(ends.finish, ends.Finish(run.id, 1, outcome, desk.now, state, min_items=least))
    run = await desk.reader.read(history.run, run.id)
    desk.alerts.happened(run)
    return run


async def kinds(desk: Desk) -> list[IncidentKind]:
    return [each.kind for each in await desk.reader.read(troubles.standing)]


async def test_a_success_that_is_missing_is_told_once(desk):
    """From the last success on, `every` and `grace` may pass; then it is told, until the next success."""
    await finish(desk, await begin(desk))
    assert [] == await desk.look()
    desk.wait(days=1, minutes=29)
    assert [] == await desk.look()
    desk.wait(minutes=1)
    ((key, body),) = await desk.look()
    (member,) = body["members"]
    assert ("incident:1", "missing", 1) == (key, member["kind"], member["run"])
    desk.wait(minutes=1)
    assert [] == await desk.look()
    await finish(desk, await begin(desk))
    assert ["change", "recovery"] == [body["tell"] for _, body in await desk.look()]
    assert [] == await kinds(desk)


async def test_a_pipeline_that_never_succeeded_is_missing_too(desk):
    """That counts from when the service first knew what is expected, which a restart does not change."""
    await desk.look()
    desk.wait(hours=20)
    desk.restart()
    await desk.look()
    desk.wait(hours=4, minutes=30)
    desk.restart()
    ((_, body),) = await desk.look()
    assert ("missing", None) == (body["members"][0]["kind"], body["members"][0]["last_success"])


async def test_what_is_newly_expected_is_not_missing_at_once(desk, project):
    """A last success of long ago does not count against a pipeline of which nothing was expected until now."""
    await finish(desk, await begin(desk, "stock"))
    await desk.look()
    desk.wait(days=30)
    project.write(FILE.replace("  stock:\n", "  stock:\n    expect: {every: 1h, grace: 0}\n"))
    desk.restart()
    assert "stock" not in [each["pipeline"] for _, body in await desk.look() for each in body["members"]]
    desk.wait(hours=1)
    assert ["stock"] == [each["pipeline"] for _, body in await desk.look() for each in body["members"]]


async def test_what_is_no_longer_expected_is_forgotten(desk, project):
    """Since when a pipeline is known is noted only while it is watched."""
    await desk.look()
    assert {"prices": desk.now.isoformat()} == await desk.reader.read(notes.get, KNOWN_NOTE)
    project.write(FILE.replace("    expect", "    x-expect").replace("x-expect", "enabled: false\n    expect"))
    desk.restart()
    await desk.look()
    assert {} == await desk.reader.read(notes.get, KNOWN_NOTE)


async def test_a_failing_pipeline_is_not_missing_as_well(desk):
    """Its failure is the graver trouble, and known."""
    await desk.look()
    desk.wait(hours=23)
    await finish(desk, await begin(desk), RunState.FAILED)
    await desk.look()
    desk.wait(hours=3)
    await desk.look()
    assert [IncidentKind.FAILURE] == await kinds(desk)


async def test_a_slow_run_is_told_while_it_runs(desk):
    """Once; its end is the end of it."""
    run = await begin(desk)
    desk.wait(minutes=9)
    assert [] == await desk.look()
    desk.wait(minutes=1)
    ((_, body),) = await desk.look()
    (member,) = body["members"]
    assert ("slow", run.id, f"run #{run.id} goes on for longer than 10m") == (
        member["kind"],
        member["run"],
        member["summary"],
    )
    desk.wait(minutes=1)
    assert [] == await desk.look()
    await finish(desk, run)
    assert ["change", "recovery"] == [body["tell"] for _, body in await desk.look()]


async def test_a_slow_run_that_is_cancelled_is_slow_no_more(desk):
    """Its trouble ends with it, though it was no success."""
    run = await begin(desk)
    desk.wait(minutes=11)
    await desk.look()
    await finish(desk, run, RunState.CANCELLED)
    assert [] == await kinds(desk)


async def test_a_slow_run_that_fails_is_told_as_failure(desk):
    """The graver trouble takes the place of the lesser."""
    run = await begin(desk)
    desk.wait(minutes=11)
    await desk.look()
    await finish(desk, run, RunState.FAILED)
    assert [IncidentKind.FAILURE] == await kinds(desk)


async def test_a_run_that_has_just_ended_is_not_slow(desk):
    """Whether it goes on is asked in the transaction that opens the incident."""
    run = await begin(desk)
    desk.wait(minutes=11)
    outcome = Outcome(RunState.SUCCEEDED)
    await desk.writer.call(ends.finish, ends.Finish(run.id, 1, outcome, desk.now, RunState.SUCCEEDED))
    assert [] == await desk.look()


async def test_the_moment_a_run_becomes_slow_wakes_the_alerts(desk, project):
    """Nobody waits for the next regular look."""
    project.write(FILE.replace("10m", "10ms"))
    desk.restart()
    looking = asyncio.create_task(desk.alerts.run())
    await begin(desk)
    desk.wait(seconds=1)
    async with asyncio.timeout(10):
        while not await kinds(desk):
            await asyncio.sleep(0)
    looking.cancel()


async def test_a_success_with_too_little_is_told(desk):
    """Each counts, and the first that has enough ends it."""
    await finish(desk, await begin(desk), items=0)
    ((_, body),) = await desk.look()
    (member,) = body["members"]
    assert ("empty", "0 items out, at least 2 expected") == (member["kind"], member["summary"])
    await finish(desk, await begin(desk), items=1)
    ((_, body),) = await desk.look()
    assert ("change", 2) == (body["tell"], body["members"][0]["count"])
    await finish(desk, await begin(desk))
    assert ["change", "recovery"] == [body["tell"] for _, body in await desk.look()]


async def test_an_empty_success_ends_a_failure(desk):
    """It fails no longer, and what is wrong now is told in its place."""
    await finish(desk, await begin(desk), RunState.FAILED)
    await desk.look()
    await finish(desk, await begin(desk), items=0)
    assert ["alert", "change"] == sorted(body["tell"] for _, body in await desk.look())
    assert [IncidentKind.EMPTY] == await kinds(desk)


async def test_a_real_run_is_held_against_min_items(project):
    """From the file to the incident, through the scheduler."""
    project.plugin("few", CODE)
    project.write(
        """
        pipelines:
          p:
            executor: inline
            expect: {min_items: 1}
            chain: [few.One, {class: pipelines.transforms.Filter, kwargs: {where: "n > 1"}}, few.Save]
          enough: {executor: inline, expect: {min_items: 1}, chain: [few.One, few.Save]}
        """
    )
    async with project.scheduler() as scheduler:
        await scheduler.start()
        made = [await scheduler.wait(run.id) for run in await scheduler.run_now(["p", "enough"])]
        (found,) = await scheduler.reader.read(troubles.standing)
    assert {RunState.SUCCEEDED} == {run.state for run in made}
    assert ("p", IncidentKind.EMPTY) == (found.pipeline, found.kind)


def test_durations_are_spelt_as_the_file_would():
    """Days to seconds, without what is none."""
    spans = [timedelta(days=1, minutes=30), timedelta(seconds=90), timedelta(seconds=0.5), timedelta(0)]
    assert ["1d 30m", "1m 30s", "0.5s", "0s"] == [spelt(span) for span in spans]


@pytest.fixture
def folder():
    with temporary_folder() as folder:
        yield folder


@pytest.mark.parametrize(
    ("text", "line", "path", "words"),
    [
        ("expect: {every: soon}", 3, "pipelines.p.expect.every", "expected a duration"),
        ("expect: {evry: 1d}", 3, "pipelines.p.expect.evry", "did you mean 'every'"),
        ("expect: {min_items: -1}", 3, "pipelines.p.expect.min_items", "expected a whole number"),
        ("expect: {grace: 1h}", 3, "pipelines.p.expect", "'grace' without 'every'"),
    ],
)
def test_mistakes_about_what_is_expected_are_told_with_their_line(folder, text, line, path, words):
    """As all of the file's."""
    ((at, where, message),) = folder.told(f"pipelines:\n  p:\n    {text}\n    chain: [pipelines.transforms.Log]\n")
    assert (line, path, True) == (at, where, words in message)
