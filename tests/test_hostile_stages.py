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


def states(project, **pipelines: str) -> dict[str, str]:
    """Run pipelines of one stage each, in this order and one at a time, each `stage` or `stage executor`."""
    project.plugin("wild", WILD)
    lines = ["scheduler: {max_parallel_jobs: 1, default_timeout: 2, default_retry: {attempts: 1}}", "pipelines:"]
    for name, told in pipelines.items():
        stage, _, executor = told.partition(" ")
        lines.append(f"  {name}: {{executor: {executor or 'process'}, chain: [wild.{stage}]}}")
    project.write("\n".join(lines))
    project.run("main.py", timeout=20)
    return dict(project.query("SELECT pipeline, state FROM runs"))


def test_generator_exit_ends_the_attempt_in_a_worker_process(project):
    """A stage that raises GeneratorExit ends its own attempt, however that is told; the next run goes well."""
    ended = states(project, first="leaves", second="good")
    assert "succeeded" == ended.pop("second")
    assert ended["first"] in ("failed", "crashed")


def test_a_stage_that_forks_does_not_harm_the_next_run(project):
    """The copy of a worker process that a stage made with `os.fork` neither answers for it nor takes its next run."""
    ended = states(project, first="forks", second="good", third="good")
    assert ("succeeded", "succeeded") == (ended["second"], ended["third"])


def test_generator_exit_ends_an_inline_attempt(project):
    """A stage that raises GeneratorExit inside the service fails its own attempt; the next run goes well."""
    assert {"first": "failed", "second": "succeeded"} == states(project, first="leaves inline", second="good inline")
