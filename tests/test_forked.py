"""Programs that are forked instead of started: they see what a fresh interpreter would, and end as it would."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests import forked
from tests.project import DEADLINE_S, until

PROGRAM = """
import os
import sys
import time

print(__name__, sys.argv[1:], os.getcwd(), sorted(os.environ), sys.path[0], flush=True)
print("to people", file=sys.stderr)
if "wait" in sys.argv:
    time.sleep(600)
sys.exit(3)
"""


@pytest.fixture
def started(tmp_path):
    """Start the program; it is killed at the end if it still runs."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "program.py").write_text(PROGRAM)
    made = []

    def start(*arguments: str) -> forked.Forked:
        paths = {"output": tmp_path / "said", "errors": tmp_path / "errors"}
        words = [str(tmp_path / "program.py"), *arguments]
        made.append(forked.start(words, cwd=tmp_path / "folder", env={"A": "b"}, **paths))
        return made[-1]

    yield start
    for each in made:
        each.kill()
        each.wait(DEADLINE_S)


def test_a_forked_program_sees_what_a_fresh_one_would(started, tmp_path):
    """Its name, arguments, folder, environment and path; what it says goes where it should, and its exit code comes."""
    assert 3 == started("one", "two").wait(DEADLINE_S)
    expected = f"__main__ ['one', 'two'] {tmp_path / 'folder'} ['A'] {tmp_path}\n"
    assert expected == (tmp_path / "said").read_text()
    assert "to people\n" == (tmp_path / "errors").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_forked_program_ends_by_signals(started, tmp_path, number):
    """It runs until then, whoever waits in vain is told, and it is gone afterwards."""
    process = started("wait")
    until(lambda: (tmp_path / "errors").exists() and bool((tmp_path / "errors").read_text()), "it never began")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.02)
    process.send_signal(number)
    assert -number == process.wait(DEADLINE_S)
    assert -number == process.poll()
