"""A JSON file of jobs becomes schedules of the file's pipelines, or a list of all that is wrong with it."""

from __future__ import annotations

import json
import signal
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from docs.write_schema import JOBS_TARGET, schema_text
from pipelines.catalog import Catalog
from pipelines.errors import ConfigError
from pipelines.file_schema import jobs_schema
from pipelines.loader import Loaded
from tests.loading import temporary_folder
from tests.project import ROOT
from tests.test_docs import blocks

PIPELINES = """
scheduler: {timezone: Europe/Stockholm}
pipelines:
  prices:
    params: {region: {type: text, default: eu}, limit: {type: int, default: 3}}
    chain: [mine.Prices, mine.Save]
  report: {schedule: "@daily", chain: [mine.Save]}
  off: {enabled: false, chain: [mine.Save]}
  start: {chain: [mine.Save]}
"""
NIGHTLY = {"job_id": "nightly", "type": "cron", "pipeline": "prices", "config": {"hour": 2, "minute": 0}}
TYPES = {
    "cron": {"hour": 2},
    "interval": {"minutes": 5},
    "date": {"at": "2027-06-20T15:30:00"},
    "daily": {"time": "09:30"},
    "hourly": {"minute": 15},
}
GUIDE = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
EXAMPLES = blocks(GUIDE, "json")
VALIDATOR = Draft202012Validator(jobs_schema())


@pytest.fixture(scope="module")
def folder():
    """One folder for all: its plugin is imported once."""
    with temporary_folder() as made:
        yield made


def job(kind="cron", config=None, **more):
    """A job that is well unless told otherwise."""
    return NIGHTLY | {"type": kind, "config": TYPES[kind] if config is None else config} | more


def read(folder, content, before=None, pipelines=PIPELINES):
    """Load a file of jobs, given as text or as its list of jobs."""
    jobs = folder.path / "jobs.json"
    jobs.write_text(content if isinstance(content, str) else json.dumps({"jobs": content}, indent=1), "utf-8")
    return folder.load(pipelines, jobs=jobs, before=before)


def told(folder, content, pipelines=PIPELINES):
    """Line, path and message of each problem; all are of the job file."""
    with pytest.raises(ConfigError) as caught:
        read(folder, content, pipelines=pipelines)
    assert {str(folder.path / "jobs.json")} == {problem.file for problem in caught.value.problems}
    return [(problem.line, problem.path, problem.message) for problem in caught.value.problems]


def only(folder, *jobs):
    """The entry of the first of these jobs."""
    return next(entry for entry in read(folder, list(jobs)).schedules if entry.id == jobs[0]["job_id"])


# ---------------------------------------------------------------- what is written, and what it means


@pytest.mark.parametrize(
    ("kind", "config", "spec"),
    [
        ("cron", {"cron": "*/5 9-17 * * 1-5"}, {"cron": "*/5 9-17 * * 1-5"}),
        ("cron", {"expression": "@daily"}, {"cron": "@daily"}),
        ("cron", {"hour": 2, "minute": 0}, {"cron": "0 2 * * *"}),
        ("cron", {"hour": "9-17"}, {"cron": "0 9-17 * * *"}),
        ("cron", {"minute": "*/15"}, {"cron": "*/15 * * * *"}),
        ("cron", {"day": 1}, {"cron": "0 0 1 * *"}),
        ("cron", {"month": "jan,jul"}, {"cron": "0 0 1 jan,jul *"}),
        ("cron", {"day_of_week": "mon-fri"}, {"cron": "0 0 * * mon-fri"}),
        ("cron", {"day_of_week": "mon#1", "hour": 8}, {"cron": "0 8 * * mon#1"}),
        ("cron", {"hour": 2, "end_date": "2030-01-01"}, {"cron": "0 2 * * *", "end": "2030-01-01"}),
        ("interval", {"hours": 1, "start_date": "2027-01-01"}, {"interval": {"hours": 1}, "start": "2027-01-01"}),
        ("date", {"run_date": "2027-06-20 15:30:00"}, {"at": "2027-06-20 15:30:00"}),
        ("date", {"at": "2027-06-20T15:30:00"}, {"at": "2027-06-20T15:30:00"}),
        ("daily", {"time": "09:30"}, {"daily": "09:30"}),
        ("hourly", {"minute": 0}, {"hourly": 0}),
    ],
)
def test_times(folder, kind, config, spec):
    """Each type becomes the schedule that a pipelines file would say; fields finer than those given are the lowest."""
    entry = only(folder, job(kind, config))
    assert (spec, "prices", "Europe/Stockholm") == (entry.definition.spec(), entry.pipeline, entry.zone)


def test_the_other_keys(folder):
    """Zone, lateness, overlap and jitter mean what they mean in a pipelines file."""
    more = {"misfire_grace_time": 60, "coalesce": False, "overlap": "skip", "jitter": 30, "timezone": "Asia/Tokyo"}
    entry = only(folder, job(**more, description="prices of the night"))
    definition = entry.definition
    assert ("Asia/Tokyo", timedelta(seconds=60), "all") == (
        entry.zone,
        definition.misfire_grace,
        definition.misfire_policy,
    )
    assert ("skip", timedelta(seconds=30)) == (definition.overlap, definition.jitter)
    assert "latest" == only(folder, job(coalesce=True)).definition.misfire_policy
    assert "file" == entry.row().source


@pytest.mark.parametrize("name", ["params", "context", "kwargs"])
def test_parameters(folder, name):
    """Parameters stand under any of three names, and are read by what the pipeline declares."""
    entry = only(folder, job(**{name: {"region": "us", "limit": "7"}}))
    assert {"region": "us", "limit": 7} == entry.params


def test_secrets(folder):
    """A variable that only a job names is filled in, and counts among what must never be shown."""
    job_with = {**job(params={"key": "${TOKEN}"}), "pipeline": "start"}
    assert "s3cret" in read(folder, [job_with]).secrets


def test_switched_off(folder):
    """A job that is switched off is not timed, its id stays taken, and its pipeline does not run at start."""
    loaded = read(folder, [job(enabled=False)])
    assert ["report"] == [entry.id for entry in loaded.schedules]
    assert ["start"] == [each.name for each in Catalog(loaded).unscheduled()]
    assert "taken by jobs[0]" in told(folder, [job(enabled=False), job()])[0][2]


def test_timed_by_jobs_alone(folder):
    """A pipeline with nothing but jobs does not run at start, so it may need parameters that they give."""
    text = "pipelines: {p: {params: {day: {type: text}}, chain: [mine.Save]}}"
    loaded = read(folder, [job(pipeline="p", params={"day": "today"})], pipelines=text)
    assert ([], {"day": "today"}) == (Catalog(loaded).unscheduled(), loaded.schedules[0].params)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_guide(folder, text):
    """Each example of the guide is valid, for the loader and for editors."""
    loaded = read(folder, text, pipelines="pipelines: {prices: {chain: [mine.Save]}, report: {chain: [mine.Save]}}")
    assert loaded.job_parts
    assert [] == list(VALIDATOR.iter_errors(json.loads(text)))


def test_the_guide_is_whole():
    """The guide has an example of each type, and names each key of a job and of its config."""
    definitions = jobs_schema()["$defs"]["JobDefinition"]
    configs = [each["then"]["properties"]["config"] for each in definitions["allOf"]]
    keys = {*definitions["properties"], *(key for config in configs for key in config["properties"])}
    assert set() == {key for key in keys if f"`{key}`" not in GUIDE}
    assert set(TYPES) == {job["type"] for text in EXAMPLES for job in json.loads(text)["jobs"]}


def test_the_schema_is_current():
    """The file for editors is what the models say now."""
    assert schema_text(jobs_schema) == JOBS_TARGET.read_text(encoding="utf-8")


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("more", "path", "message"),
    [
        ({"pipeline": "price"}, "pipeline", "unknown pipeline 'price'; did you mean 'prices'?"),
        ({"job_id": "a b"}, "job_id", "expected a name of 1 to 80 letters"),
        ({"job_id": "report"}, "job_id", "taken by pipelines.report.schedule in line 7 of"),
        ({"type": "crom"}, "type", "expected cron, interval, date, daily or hourly; did you mean 'cron'?"),
        ({"timezone": "Europe/Stokholm"}, "timezone", "Europe/Stockholm"),
        ({"params": {"regon": "eu"}}, "params.regon", "did you mean 'region'?"),
        ({"context": {"limit": "many"}}, "context.limit", "found 'many'"),
        ({"kwargs": {"region": "${NONE}"}}, "kwargs.region", "the environment variable NONE is not set"),
        ({"params": {}, "kwargs": {}}, "", "found params and kwargs, which are names for the same"),
        ({"jitter": "2d"}, "jitter", "expected at most a day"),
        ({"misfire_grace_time": None}, "misfire_grace_time", "found nothing; expected a duration from 0 to ten years"),
        ({"coalesce": 1}, "coalesce", "found 1 (a number); expected true or false"),
        ({"overlap": "skipp"}, "overlap", "did you mean 'skip'?"),
        ({"timezome": "UTC"}, "timezome", "unknown key 'timezome'; did you mean 'timezone'?"),
        ({"max_instances": 2}, "max_instances", "for the runs of one job write 'overlap'"),
        ({"func": "x"}, "func", "unknown key 'func'; write 'pipeline'"),
        ({"config": None}, "config", "found neither; expected one cron text"),
        ({"config": []}, "config", "found an empty list; expected a mapping"),
    ],
)
def test_wrong_keys(folder, more, path, message):
    """A key that is wrong is told at its place, with what to write instead."""
    lines = json.dumps({"jobs": [NIGHTLY | more]}, indent=1).splitlines()
    ((line, where, said),) = told(folder, [NIGHTLY | more])
    assert f"jobs[0].{path}".rstrip(".") == where
    assert message in said
    key = path.rpartition(".")[2]
    assert f'"{key}"' in lines[line - 1] if key else line == 3


@pytest.mark.parametrize(
    ("kind", "config", "path", "message"),
    [
        ("cron", {}, "", "found neither; expected one cron text under 'cron', or the fields minute"),
        ("cron", {"cron": "* * * * *", "hour": 2}, "", "found cron and hour"),
        ("cron", {"cron": "61 * * * *"}, ".cron", "61 is not within 0-59"),
        ("cron", {"expression": "* * * *"}, ".expression", "4 fields, expected 5"),
        ("cron", {"hour": 24}, ".hour", "hour '24': 24 is not within 0-23; midnight is hour 0"),
        ("cron", {"hour": 2.5}, ".hour", "found 2.5 (a number); expected a number, or text such as '*/5'"),
        ("cron", {"hour": "1 2"}, ".hour", "without spaces: join values by ','"),
        ("cron", {"month": 2, "day": 30}, "", "month 2 has no such day"),
        ("cron", {"day": "last"}, ".day", "write 'L' for the last day"),
        ("cron", {"day": "2nd fri"}, ".day", "write day_of_week: 'fri#2'"),
        ("cron", {"day": "last sun"}, ".day", "write day_of_week: 'sunL'"),
        ("cron", {"day_of_week": 0}, ".day_of_week", "means 'sun', other schedulers count from Monday and mean 'mon'"),
        (
            "cron",
            {"day_of_week": "1-5"},
            ".day_of_week",
            "means 'mon-fri', other schedulers count from Monday and mean",
        ),
        ("cron", {"day_of_week": 7}, ".day_of_week", "expected days by name, such as 'mon-fri'"),
        ("cron", {"day_of_week": "*/2"}, ".day_of_week", "counts such steps from Sunday, other schedulers from Monday"),
        ("cron", {"day": "1-7", "day_of_week": "mon"}, "", "write day_of_week alone, such as 'mon#1'"),
        ("cron", {"hour": 2, "second": 0}, ".second", "unknown key 'second'; runs are due by the minute"),
        ("cron", {"week": 3}, ".week", "unknown key 'week'; cron knows no weeks of the year"),
        ("cron", {"year": 2027, "hour": 1}, ".year", "unknown key 'year'; cron knows no years"),
        ("cron", {"hour": 1, "timezone": "UTC"}, ".timezone", "it stands beside 'config', not in it"),
        ("cron", {"hous": 1}, ".hous", "unknown key 'hous'; did you mean 'hour'?"),
        ("cron", {"hour": 1, "start_date": "soon"}, ".start_date", "'soon' cannot be read as a date or time"),
        ("interval", {}, "", "the interval sums up to 0:00:00; expected from 1 second to ten years"),
        ("interval", {"week": 1}, ".week", "unknown key 'week'; did you mean 'weeks'?"),
        ("interval", {"minutes": 1.5}, ".minutes", "found 1.5 (a number); expected a whole number"),
        (
            "interval",
            {"days": 1, "start_date": "2027-02-01", "end_date": "2027-01-01"},
            ".end_date",
            "lies before the start",
        ),
        ("date", {}, "", "found neither; expected a time under 'run_date' or 'at'"),
        ("date", {"run_date": "tomorrow"}, ".run_date", "cannot be read as a date and time"),
        ("daily", {"time": "25:00"}, ".time", "is not a time of day"),
        ("daily", {"at": "09:30"}, ".at", "unknown key 'at'; known are"),
        ("hourly", {"minute": 60}, ".minute", "expected a whole number from 0 to 59"),
        ("hourly", {}, "", "the key 'minute' is missing"),
    ],
)
def test_wrong_times(folder, kind, config, path, message):
    """A time that is wrong is told at the key of `config` that it stands under."""
    problems = told(folder, [job(kind, config)])
    assert f"jobs[0].config{path}" in [where for _, where, _ in problems]
    assert any(message in said for _, _, said in problems)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{"jobs": [\n  {"job_id": "a",}\n]}', 2, "a comma before the closing bracket; take it out (column 17)"),
        ('{\n// nightly\n"jobs": []}', 2, "a comment, which JSON does not have; take it out, or write it as a"),
        (
            '{"jobs":\n[{"job_id": NaN}]}',
            2,
            "NaN is not a number that JSON has; write a finite one, or null (column 13)",
        ),
        ('{"NaN": -InfinityNaN}', 1, "-Infinity is not a number that JSON has; write a finite one, or null (column 9)"),
        ("{\"jobs\": [\n{'job_id': 1}]}", 2, "a single quotation mark; texts stand in double ones (column 2)"),
        ('{"jobs": [{"enabled": True}]}', 1, "'True'; write true (column 23)"),
        ('{"jobs": [{"job_id": "a"\n "type": "cron"}]}', 2, "a comma is missing before this (column 2)"),
        ('{"jobs": [\n{"job_id": "a"', 2, "the file ends in the middle: a bracket is never closed"),
        ('{"jobs": []}\n{}', 2, "something stands after the end; one file holds one value"),
        ('{"jobs": [],\n"jobs": []}', 2, "the key 'jobs' is already there in line 1"),
        ("", 1, "the file is empty"),
        ("[]", 1, 'found an empty list; expected {"jobs": [{"job_id": …'),
        ("{}", 1, "the key 'jobs' is missing"),
        ('{"jbos": []}', 1, "unknown key 'jbos'; did you mean 'jobs'?"),
        ('{"jobs": {}}', 1, "found an empty mapping; expected a list of jobs"),
        ('{"jobs": [7]}', 1, "found 7 (a number); expected a mapping with the keys job_id, type"),
        ('{"jobs": [{"x": 1e999}]}', 1, "'1e999' is not a number that can be kept"),
        ("[" * 5_000, None, "nested more than 100 deep"),
        ("[" * 500 + "]" * 500, 1, "nested more than 100 deep"),
    ],
)
def test_wrong_text(folder, text, line, message):
    """Text that is not JSON, or not a file of jobs, is told with line and column, in words."""
    where, _, said = told(folder, text)[0]
    assert (line, True) == (where, message in said)


def test_tabs_and_escapes(folder):
    """What JSON allows and YAML does not is read: tabs between values, and characters that are two escapes."""
    text = json.dumps({"jobs": [job(description="\U0001f319 nightly")]}, indent="\t")
    assert "nightly" in read(folder, text).job_parts


def test_a_missing_file(folder):
    """A file that is not there is told, with the nearest one that is."""
    read(folder, [])
    with pytest.raises(ConfigError, match=r"job\.json: there is no such file; did you mean 'jobs\.json'\?"):
        folder.load(PIPELINES, jobs=folder.path / "job.json")


def test_all_at_once(folder):
    """All problems of both files come together, those of the pipelines file first, each with its file and line."""
    with pytest.raises(ConfigError) as caught:
        read(folder, [job(pipeline="a"), job(job_id="b", config={"hour": 30})], pipelines="pipelines: {x: {chain: []}}")
    names = [(problem.file.rpartition("/")[2], problem.path) for problem in caught.value.problems]
    jobs = [
        ("jobs.json", f"jobs[{place}].{key}") for place, key in ((0, "pipeline"), (1, "pipeline"), (1, "config.hour"))
    ]
    assert [("pipelines.yml", "pipelines.x.chain"), *jobs] == names


# ---------------------------------------------------------------- whatever the file holds

KEYS = st.sampled_from(
    ["jobs", "job_id", "type", "pipeline", "config", "params", "cron", "hour", "day_of_week", "time"]
)
LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), KEYS),
    st.sampled_from(["cron", "date", "daily", "interval", "prices", "* * * * *", "mon-fri", "09:30", "${", "UTC"]),
)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
GOOD = st.builds(job, st.sampled_from(sorted(TYPES)), job_id=st.sampled_from(["a", "b"]))
JOBS = st.one_of(TREES, st.builds(lambda good, key, value: good | {key: value}, GOOD, KEYS, TREES), GOOD)


def outcome(folder, text):
    """Load any text; all that may come is a valid set or a ConfigError with problems."""
    try:
        result = read(folder, text)
    except ConfigError as error:
        result = error
    assert isinstance(result, Loaded) or all(problem.message and problem.file for problem in result.problems)
    return result


@settings(deadline=None, max_examples=80)
@given(tree=TREES | st.fixed_dictionaries({"jobs": st.lists(JOBS, max_size=3)}))
def test_any_value(folder, tree):
    """Whatever JSON the file holds, there is a valid set, or problems that each have a file and words."""
    if isinstance(outcome(folder, json.dumps(tree)), Loaded):
        assert [] == list(VALIDATOR.iter_errors(tree))


@settings(deadline=None, max_examples=60)
@given(place=st.integers(0, 400), piece=st.text(max_size=3) | st.sampled_from(["//", ",", "'", "NaN", "]", "\\u12"]))
def test_slips_of_the_keyboard(folder, place, piece):
    """A few characters typed anywhere into a valid file give a valid set, or problems."""
    text = json.dumps({"jobs": [job(), job("daily", job_id="b")]}, indent=1)
    outcome(folder, text[:place] + piece + text[place:])


# ---------------------------------------------------------------- again, and in the whole program


def test_again(folder):
    """When only the file of jobs changes, all but the changed job is taken over: the very same objects."""
    jobs = [job(), job("daily", job_id="early", pipeline="report")]
    before = read(folder, jobs)
    after = read(folder, [job("hourly"), jobs[1]], before)
    same = {entry.id: entry for entry in before.schedules}
    assert {"nightly": False, "early": True, "report": True} == {
        entry.id: entry is same[entry.id] for entry in after.schedules
    }
    assert all(after.file.pipelines[name] is each for name, each in before.file.pipelines.items())
    moved = read(folder, jobs[::-1], before)
    assert all(entry is same[entry.id] for entry in moved.schedules)


def test_what_a_job_depends_on(folder):
    """A job is read anew when its pipeline's parameters or the scheduler section change."""
    before = read(folder, [job()])
    for old, new in (("default: eu", "default: us"), ("Europe/Stockholm", "Europe/Oslo")):
        after = read(folder, [job()], before, pipelines=PIPELINES.replace(old, new))
        assert after.job_parts["nightly"].entry is not before.job_parts["nightly"].entry
    assert (
        "us"
        == read(folder, [job()], before, PIPELINES.replace("default: eu", "default: us")).schedules[-1].params["region"]
    )


def test_the_first_job_of_a_pipeline(folder):
    """A pipeline's own schedules are taken over as well when it gets its first job."""
    before = read(folder, [])
    after = read(folder, [job(pipeline="report")], before)
    assert before.schedules[0] is after.schedules[0]


def test_the_program(project):
    """The service times the jobs and takes up a change of their file alone; a wrong argument is refused."""
    project.plugin(
        "mine", "from pipelines.transform import Sink\n\n\nclass Save(Sink):\n    async def handle(self, item): ...\n"
    )
    project.write("pipelines: {prices: {chain: [mine.Save]}, report: {schedule: '@daily', chain: [mine.Save]}}")
    jobs = project.folder / "jobs.json"
    jobs.write_text(json.dumps({"jobs": [job()]}))
    project.env["SCHEDULER_JOBS"] = "jobs.json"
    with project.service() as service:
        service.wait_for("ready; Ctrl-C stops")
        assert [("nightly", "active"), ("report", "active")] == stored(project)
        jobs.write_text(json.dumps({"jobs": [job(config={"hour": 3})]}))
        service.wait_for("in force now: ~1 schedule\n")
        jobs.write_text(json.dumps({"jobs": [job(enabled=False)]}))
        service.wait_for("in force now: −1 schedule\n")
        assert 0 == service.stop(signal.SIGTERM)
    assert ([(0,)], ("nightly", "retired")) == (project.query("select count(*) from runs"), stored(project)[0])
    wrong = project.run("main_scheduler.py", "--schedule-confg", "x.json")
    assert (2, True) == (wrong.returncode, "expected nothing, or --schedule-config FILE" in wrong.stderr)


def test_the_terminal(project):
    """`pipecall start` takes the file as well; one that is not there ends it, with the nearest name."""
    project.write("pipelines: {}")
    (project.folder / "jobs.json").write_text('{"jobs": []}')
    done = project.run("-m", "pipelines", "start", "--schedule-config", "x.json")
    assert (2, "x.json: there is no such file; did you mean 'jobs.json'?\n") == (done.returncode, done.stderr)


def stored(project):
    return project.query("select id, state from schedules order by id")
