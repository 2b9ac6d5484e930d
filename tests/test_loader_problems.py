"""What the loader says of each mistake."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.loading import one, temporary_folder


@pytest.fixture(scope="module")
def folder():
    """One folder for all: its plugin is imported once."""
    with temporary_folder() as made:
        yield made


TOKEN = f"{b64encode(b'1234567890' * 2)[:24].decode()}.abcdef.{'x' * 27}"
WRONG = {
    "a bot's token": (one(f"chain: [mine.Save]\nparams: {{key: {TOKEN}}}"), 4, "", "put it into .env as DISCORD_TOKEN"),
    "top list": ("- a", 1, "", "found a list; expected a mapping with the key 'pipelines'"),
    "no pipelines": ("scheduler: {}", 1, "", "the key 'pipelines' is missing"),
    "empty pipelines": ("pipelines:", 1, "pipelines", "found nothing; expected a mapping of names to pipelines"),
    "unknown section": ("pipelines: {}\npipeline: 1", 2, "pipeline", "did you mean 'pipelines'?"),
    "scheduler list": ("scheduler: [1]\npipelines: {}", 1, "scheduler", "found a list; expected a mapping"),
    "scheduler key": ("scheduler:\n  timezon: UTC\npipelines: {}", 2, "scheduler.timezon", "did you mean 'timezone'?"),
    "scheduler zone": (
        *("scheduler:\n  timezone: Europe/Stokholm\npipelines: {}", 2, "scheduler.timezone"),
        "did you mean 'Europe/Stockholm'?",
    ),
    "retry key": (
        *("scheduler: {default_retry: {atempts: 3}}\npipelines: {}", 1, "scheduler.default_retry.atempts"),
        "did you mean 'attempts'?",
    ),
    "pipeline text": (
        "pipelines:\n  p: x",
        2,
        "pipelines.p",
        "found 'x' (text); expected a mapping with at least the key",
    ),
    "pipeline name": ("pipelines:\n  a b: {chain: [mine.Save]}", 2, "pipelines.'a b'", "expected a name of 1 to 80"),
    "name inside": (one("name: p\nchain: [mine.Save]"), 3, "pipelines.p.name", "the pipeline's name is its key, 'p'"),
    "no chain": (one("enabled: true"), 2, "pipelines.p", "the key 'chain' is missing"),
    "pipeline key": (one("timout: 3\nchain: [mine.Save]"), 3, "pipelines.p.timout", "did you mean 'timeout'?"),
    "enabled": (
        one("enabled: maybe\nchain: [mine.Save]"),
        3,
        "pipelines.p.enabled",
        "found 'maybe' (text); expected true",
    ),
    "attempts": (
        *(one("retry:\n  attempts: 2.5\nchain: [mine.Save]"), 4, "pipelines.p.retry.attempts"),
        "found 2.5 (a number); expected a whole number from 1 to 100",
    ),
    "executor": (one("executor: proces\nchain: [mine.Save]"), 3, "pipelines.p.executor", "did you mean 'process'?"),
    "stage key": (one("chain:\n  - clas: mine.Save"), 4, "pipelines.p.chain[0].clas", "did you mean 'class'?"),
    "stage number": (
        one("chain:\n  - mine.Save\n  - 3"),
        5,
        "pipelines.p.chain[1]",
        "found 3 (a number); expected a class",
    ),
    "class": (one("chain:\n  - mine.Save\n  - mine.Pries"), 5, "pipelines.p.chain[1]", "did you mean 'Prices'?"),
    "class in full": (
        one("chain:\n- class: os.system"),
        4,
        "pipelines.p.chain[0].class",
        "'os.system' is not allowed; stages come from a module in plugins/ (there is no os.py) or",
    ),
    "abstract": (one("chain: [mine.Unfinished]"), 3, "pipelines.p.chain[0]", "does not implement handle"),
    "exit": (one("chain: [quits_l.X]"), 3, "pipelines.p.chain[0]", "importing quits_l failed: SystemExit"),
    "keyword": (
        *(one("chain:\n- class: mine.Prices\n  kwargs:\n    regoin: eu"), 6, "pipelines.p.chain[0].kwargs.regoin"),
        "unknown keyword 'regoin'; did you mean 'region'?",
    ),
    "literal": (
        *(one("chain:\n- class: mine.Prices\n  kwargs: {region: uk}"), 5, "pipelines.p.chain[0].kwargs.region"),
        "found 'uk' (text); expected 'eu' or 'us'",
    ),
    "built-in": (
        *(one("chain:\n- class: pipelines.transforms.Limit\n  kwargs: {count: -1}"), 5),
        *("pipelines.p.chain[0].kwargs.count", "found -1"),
    ),
    "variable": (
        *(one('chain:\n- class: mine.Prices\n  kwargs:\n    url: "https://${HOTS}/"'), 6),
        *("pipelines.p.chain[0].kwargs.url", "the environment variable HOTS is not set"),
    ),
    "parameter": (one("params: {a: ['${X}']}\nchain: [mine.Save]"), 3, "pipelines.p.params.a[0]", "X is not set"),
    "cron": (one("schedule: '0 25 * * *'\nchain: [mine.Save]"), 3, "pipelines.p.schedule", "25"),
    "cron in full": (one("schedule:\n  cron: '* *'\nchain: [mine.Save]"), 4, "pipelines.p.schedule.cron", "2 fields"),
    "cron in a list": (
        *(
            one("schedule:\n- '@daily'\n- cron: '* *'\nchain: [mine.Save]"),
            5,
            "pipelines.p.schedule[1].cron",
            "2 fields",
        ),
    ),
    "schedule zone": (
        *(one("schedule: {cron: '@daily', timezone: Mars/Base}\nchain: [mine.Save]"), 3),
        *("pipelines.p.schedule.timezone", "Mars/Base"),
    ),
    "two times": (
        one("schedule: {cron: '@daily', hourly: 3}\nchain: [mine.Save]"),
        3,
        "pipelines.p.schedule",
        "exactly one",
    ),
    "schedule key": (
        one("schedule: {corn: x}\nchain: [mine.Save]"),
        3,
        "pipelines.p.schedule.corn",
        "did you mean 'cron'?",
    ),
    "interval key": (
        *(one("schedule: {interval: {hour: 1}}\nchain: [mine.Save]"), 3, "pipelines.p.schedule.interval.hour"),
        "did you mean 'hours'?",
    ),
    "interval sum": (
        one("schedule: {interval: {}}\nchain: [mine.Save]"),
        3,
        "pipelines.p.schedule.interval",
        "from 1 second",
    ),
    "at": (one("schedule: {at: noon}\nchain: [mine.Save]"), 3, "pipelines.p.schedule.at", "noon"),
    "start": (
        one("schedule:\n  cron: '@daily'\n  start: soon\nchain: [mine.Save]"),
        5,
        "pipelines.p.schedule.start",
        "'soon' cannot be read as a date or time",
    ),
    "end before start": (
        one("schedule:\n  cron: '@daily'\n  start: '2027-06-21'\n  end: '2027-06-20'\nchain: [mine.Save]"),
        6,
        "pipelines.p.schedule.end",
        "end: the end of 2027-06-20 lies before the start, 2027-06-21",
    ),
    "jitter": (
        one("schedule:\n  cron: '@daily'\n  jitter: 2d\nchain: [mine.Save]"),
        5,
        "pipelines.p.schedule.jitter",
        "expected at most a day",
    ),
    "daily": (one("schedule: {daily: 25:00}\nchain: [mine.Save]"), 3, "pipelines.p.schedule.daily", "25:00"),
    "overlap": (
        *(one("schedule: {cron: '@daily', overlap: wait}\nchain: [mine.Save]"), 3),
        *("pipelines.p.schedule.overlap", "expected queue, skip, queue_all, cancel_running or allow"),
    ),
    "overlap of a pipeline": (one("overlap: 3\nchain: [mine.Save]"), 3, "pipelines.p.overlap", "expected queue, skip"),
    "pool": (
        "scheduler: {pools: {shop.example: 1}}\n" + one("pool: shop.exmple\nchain: [mine.Save]"),
        *(4, "pipelines.p.pool", "unknown pool 'shop.exmple'; did you mean 'shop.example'?"),
    ),
    "no pools": (one("pool: shop\nchain: [mine.Save]"), 3, "pipelines.p.pool", "scheduler: pools: {shop: 1}"),
    "places of a pool": (
        "scheduler:\n  pools:\n    shop: 0\n" + one("pool: shop\nchain: [mine.Save]"),
        *(3, "scheduler.pools.shop", "expected a whole number from 1 to 1,000"),
    ),
    "name of a pool": (
        "scheduler:\n  pools: {a b: 1}\n" + one("chain: [mine.Save]"),
        *(2, "scheduler.pools", "expected a name of 1 to 80 letters"),
    ),
    "no schedule": (
        one("schedule:\nchain: [mine.Save]"),
        3,
        "pipelines.p.schedule",
        "found nothing; expected a schedule",
    ),
    "misfire": (
        *(one("schedule: {cron: '@daily', misfire: {policy: newest}}\nchain: [mine.Save]"), 3),
        *("pipelines.p.schedule.misfire.policy", "expected latest, all, none or ask"),
    ),
    "key twice": (
        one("timeout: 3\nchain: [mine.Save]\ntimeout: 4"),
        5,
        "pipelines.p.timeout",
        "already there in line 3",
    ),
    "pipeline twice": (
        "pipelines:\n  p: {chain: [mine.Save]}\n  p: {chain: [mine.Save]}",
        3,
        "pipelines.p",
        "in line 2",
    ),
}


@pytest.mark.parametrize(("text", "line", "path", "words"), WRONG.values(), ids=WRONG)
def test_one_mistake_is_one_problem(folder, text, line, path, words):
    """Each mistake is told once, with its line, its path, what was found and what was expected."""
    ((got_line, got_path, message),) = folder.told(text)
    assert (line, path) == (got_line, got_path)
    assert words in message


def test_all_mistakes_at_once(folder):
    """Mistakes of every kind in one file are told together, in the order of their lines."""
    text = """\
scheduler: {max_parallel_jobs: 0, timezone: Mars/Base}
pipelines:
  a: {chain: [mine.Pries], schedule: '* *', timout: 3}
  b:
    chain:
      - {class: mine.Prices, kwargs: {urll: x, region: uk, url: '${NOPE}'}}
    chain: []
  c: {schedule: [{daily: 7:77}, '@sometimes'], chain: [mine.Save, mine.Unfinished]}
"""
    assert [1, 1, 3, 3, 3, 6, 6, 6, 7, 8, 8, 8] == [line for line, _, _ in folder.told(text)]


def test_the_words_are_our_own(folder):
    """No jargon of the libraries behind the loader reaches people."""
    said = "\n".join(message for text, *_ in WRONG.values() for _, _, message in folder.told(text))
    assert not [word for word in ("Input should", "pydantic", "http", "validation", "Value error") if word in said]
