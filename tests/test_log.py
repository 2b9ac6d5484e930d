"""How log lines look."""

from __future__ import annotations

import json
import logging

import pytest

from pipelines.log import TextFormatter, set_up_logging


@pytest.fixture(autouse=True)
def keep_the_root_logger():
    """Put the root logger back as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


def record(text: str, **extra: object) -> logging.LogRecord:
    """A record as the runner would log it."""
    made = logging.LogRecord("pipelines.runner", logging.INFO, __file__, 1, text, (), None)
    made.__dict__.update(extra)
    return made


def test_a_line_of_a_run_names_pipeline_and_number():
    """Lines about a run carry its pipeline and number; others do not."""
    of_run = TextFormatter().format(record("attempt 1/3", run=812, pipeline="prices"))
    other = TextFormatter().format(record("ready"))
    assert ("INFO    prices #812 attempt 1/3", "INFO    ready") == (of_run[20:], other[20:])


def test_control_characters_do_not_reach_the_terminal():
    """What a stage logs cannot move the cursor or forge another line's beginning."""
    assert "INFO    a�[2Jb\n    c" == TextFormatter().format(record("a\x1b[2Jb\nc"))[20:]


def test_json_lines_are_objects(capsys):
    """With `json` each line is one object, with run and pipeline as fields."""
    set_up_logging("INFO", "json")
    logging.getLogger("pipelines.runner").info("done %d", 3, extra={"run": 812, "pipeline": "prices"})
    line = json.loads(capsys.readouterr().err)
    assert ("done 3", "INFO", 812, "prices") == (line["message"], line["level"], line["run"], line["pipeline"])


def test_the_level_is_kept_to(capsys):
    """Lines below the level are not shown."""
    set_up_logging("WARNING", "text")
    logging.getLogger("pipelines").info("quiet")
    assert "" == capsys.readouterr().err
