"""A pipelines file to a valid set: what it holds, and how it is put together."""

from __future__ import annotations

import gc
import hashlib

import pytest

from pipelines.errors import ConfigError
from tests.loading import ENV, one, temporary_folder
from tests.test_schema import FULL


@pytest.fixture(scope="module")
def folder():
    """One folder for all: its plugin is imported once."""
    with temporary_folder() as made:
        yield made


def test_a_full_file(folder):
    """Every form that a file may use is read."""
    loaded = folder.load(FULL)
    assert ["prices", "once", "start"] == list(loaded.file.pipelines)
    prices = loaded.file.pipelines["prices"]
    assert (True, "thread", 90, 2, 300) == (
        *(prices.enabled, prices.executor, prices.timeout.total_seconds(), prices.retry.attempts, prices.retry.delay),
    )


def test_schedules_of_a_full_file(folder):
    """Every schedule of the file has an id, a trigger and a zone."""
    ids = ["prices", "early", "prices-3", "prices-4", "prices-5", "prices-6", "once"]
    assert ids == [entry.id for entry in folder.load(FULL).schedules]


def test_digest(folder):
    """The digest is the SHA-256 of the text."""
    assert hashlib.sha256(FULL.encode()).hexdigest() == folder.load(FULL).digest


def test_the_smallest_file(folder):
    """A file without pipelines is valid when it says so."""
    assert {} == folder.load("pipelines: {}").file.pipelines


def test_yes_and_no(folder):
    """Yes and no are read where true or false is expected, and are text elsewhere."""
    loaded = folder.load(one("enabled: no\nchain: [{class: mine.Prices, kwargs: {url: no}}]"))
    assert (False, "no") == (loaded.file.pipelines["p"].enabled, loaded.file.pipelines["p"].chain[0].kwargs["url"])


def test_the_same_id_twice(folder):
    """Schedule ids are unique over the whole file; both places are named."""
    first = "pipelines:\n  a: {chain: [mine.Save], schedule: ['@daily', '@hourly']}\n"
    text = first + "  a-2: {chain: [mine.Save], schedule: '@daily'}"
    ((line, path, message),) = folder.told(text)
    assert (3, "pipelines.a-2.schedule") == (line, path)
    assert "'a-2' is taken by pipelines.a.schedule[1] in line 2" in message


def test_variables(folder):
    """Values from the environment are secrets; definitions keep the text as it was written."""
    kwargs = "{url: 'https://${HOST}/$${X}', extra: ['${TOKEN}', '${EMPTY}']}"
    loaded = folder.load(one(f"chain: [{{class: mine.Prices, kwargs: {kwargs}}}]"))
    definition = loaded.file.pipelines["p"]
    assert frozenset({"s3cret", "shop.example"}) == loaded.secrets
    assert "https://shop.example/${X}" == definition.stage_specs(ENV)[0].kwargs["url"]
    assert "s3cret" not in repr(loaded)


def test_secrets_stay_out_of_problems(folder):
    """A constructor that quotes a secret in its complaint does not give it away."""
    text = one("chain: [{class: pipelines.transforms.Filter, kwargs: {where: '${TOKEN} ('}}]")
    ((_, _, message),) = folder.told(text)
    assert "s3cret" not in message


def test_disabled_pipelines_need_no_secrets(folder):
    """An unset variable of a disabled pipeline is a warning: what does not run needs no token yet."""
    loaded = folder.load(one("enabled: false\nchain: [{class: mine.Prices, kwargs: {url: '${NOPE}'}}]"))
    assert [(4, "pipelines.p.chain[0].kwargs.url")] == [(each.line, each.path) for each in loaded.warnings]


def test_warnings_of_triggers(folder):
    """What a trigger warns of is handed on with its line."""
    loaded = folder.load(one("schedule: '0 0 */2 * 1'\nchain: [mine.Save]"))
    assert [(3, "pipelines.p.schedule")] == [(each.line, each.path) for each in loaded.warnings]


def test_overrides(folder):
    """Settings of the machine win over the file's scheduler section, a retry policy field by field."""
    section = "scheduler: {timezone: UTC, default_retry: {attempts: 9, delay: 5}}\n"
    text = section + one("schedule: '@daily'\nchain: [mine.Save]")
    loaded = folder.load(text, overrides={"timezone": "Asia/Tokyo", "default_retry": {"attempts": 2}})
    retry = loaded.file.pipelines["p"].retry
    assert ("Asia/Tokyo", 2, 5) == (loaded.schedules[0].zone, retry.attempts, retry.delay)


def test_wrong_overrides(folder):
    """A setting that does not fit is told as such."""
    with pytest.raises(ConfigError, match=r"settings .*: scheduler\.max_parallel_jobs: found 0"):
        folder.load("pipelines: {}", overrides={"max_parallel_jobs": 0})


def test_anchors(folder):
    """Keys that begin with x- are a place for anchors; a mistake in merged text is told where it is written."""
    text = "x-base: &base\n  timout: 3\npipelines:\n  p: {<<: *base, chain: [mine.Save]}"
    ((line, path, _),) = folder.told(text)
    assert (2, "pipelines.p.timout") == (line, path)


def test_h_gets_a_slot_of_its_own(folder):
    """Schedules with H in their cron text share no trigger unless they share the slot; others do."""
    names = [f"p{number}" for number in range(20)]
    text = "pipelines:\n" + "".join(f"  {name}: {{schedule: 'H H * * *', chain: [mine.Save]}}\n" for name in names)
    assert len({entry.trigger for entry in folder.load(text).schedules}) > 10


def test_the_collector_is_on_again(folder):
    """Loading leaves the garbage collector as it was."""
    folder.load("pipelines: {}")
    assert gc.isenabled()
