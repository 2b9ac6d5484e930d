"""Stages that leave the path in ways few do: the run must end and say so, and the next one must not suffer."""

from __future__ import annotations

WILD = """
    import os

    def forks(item):
        os.fork()
        return item

    def leaves(item):
        raise GeneratorExit

    def good(item):
        return item
    """


FILE = """
scheduler: {max_parallel_jobs: 1, default_timeout: 2, default_retry: {attempts: 1}}
pipelines:
  leaves: {chain: [wild.leaves]}
  next: {chain: [wild.good]}
  forks: {chain: [wild.forks]}
  second: {chain: [wild.good]}
  third: {chain: [wild.good]}
  leaves-inline: {executor: inline, chain: [wild.leaves]}
  last: {executor: inline, chain: [wild.good]}
"""


def test_wild_stages_do_not_harm_the_next_run(project):
    """A stage that raises GeneratorExit ends its own attempt, in a worker process or inside the program.

    The copy of a worker process that a stage made with `os.fork` neither answers for it nor takes its next run.
    """
    project.plugin("wild", WILD)
    project.write(FILE)
    project.run("main.py")
    ended = dict(project.query("SELECT pipeline, state FROM runs"))
    assert ended["leaves"] in ("failed", "crashed")
    assert "failed" == ended["leaves-inline"]
    assert {"succeeded"} == {ended[name] for name in ("next", "second", "third", "last")}
