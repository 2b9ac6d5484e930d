"""The table of commands: under which name which function is found, what it does in one line, and where help shows it.

A function is named as `module:function` inside this package, or a `typer.Typer` for a command with commands of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

SERVICE, RUNS, JOBS, WRITING, CARE = "Service", "Runs", "Jobs", "Writing pipelines", "Care"
PANELS = (SERVICE, RUNS, JOBS, WRITING, CARE)
"""The order in which help shows the groups of commands."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: `target` says where it is, `line` is its help in one line, `panel` the group it is shown in."""

    target: str
    line: str
    panel: str


COMMANDS: dict[str, Entry] = {
    "start": Entry("start:start", "Start the service, here or detached.", SERVICE),
    "worker": Entry("worker:worker", "Execute runs for schedulers on other machines.", SERVICE),
    "stop": Entry("stop:stop", "Stop the service that runs on this machine.", SERVICE),
    "status": Entry("status:status", "Show how the service is, what runs, what is next, what failed.", SERVICE),
    "health": Entry("health:health", "Say whether the service is well, for scripts and container checks.", SERVICE),
    "pipelines": Entry("pipelines:pipelines", "List the pipelines.", RUNS),
    "run": Entry("run:run", "Run pipelines now and follow them to their end.", RUNS),
    "run-now": Entry("run:run_now", "Queue runs for the service and return at once.", RUNS),
    "cancel": Entry("cancel:cancel", "Cancel a run.", RUNS),
    "history": Entry("history:history", "List runs, newest first.", RUNS),
    "logs": Entry("logs:logs", "Show the log of a run.", RUNS),
    "missed": Entry("missed:missed", "List the instants that did not become runs, and why.", RUNS),
    "jobs": Entry("jobs:jobs", "List the jobs with their next run.", JOBS),
    "next": Entry("next:next_fires", "Show when a pipeline or a job is due next.", JOBS),
    "add-job": Entry("add_job:add_job", "Make a job: run a pipeline on a schedule of its own.", JOBS),
    "remove-job": Entry("job_changes:remove_job", "Take away a job that was added.", JOBS),
    "restore-job": Entry("job_changes:restore_job", "Bring back a job that was removed in the last ten minutes.", JOBS),
    "pause": Entry("job_changes:pause", "Pause a job.", JOBS),
    "resume": Entry("job_changes:resume", "Resume a paused job.", JOBS),
    "check": Entry("check:check", "Say all that is wrong with the pipelines file and the plugins.", WRITING),
    "new-stage": Entry("new_stage:new_stage", "Write a stage of your own with its test, to be filled in.", WRITING),
    "config": Entry("config:app", "Make the files to begin with: config create.", WRITING),
    "schema": Entry("schema:schema", "Print the JSON Schema of a pipelines file, for editors.", WRITING),
    "doctor": Entry("doctor:doctor", "Look at the machine and the set-up; say how to mend what is wrong.", CARE),
    "backup": Entry("copies:back_up", "Copy the store into a file, while the service runs or not.", CARE),
    "restore": Entry("copies:restore", "Put a copy in the place of the store; stop the service first.", CARE),
    "migrate-store": Entry("migrate_store:migrate_store", "Move the store to another database, all of it.", CARE),
    "mute": Entry("alerting:mute", "Hold back the alerts of a pipeline.", CARE),
    "unmute": Entry("alerting:unmute", "Let the alerts of a pipeline through again.", CARE),
    "redeliver": Entry("alerting:redeliver", "Send messages again that were refused for good.", CARE),
    "token": Entry("token:app", "Say who may use REST and dashboard: token create, list, revoke.", CARE),
    "audit": Entry("audit:audit", "List what people asked for, newest first.", CARE),
}
