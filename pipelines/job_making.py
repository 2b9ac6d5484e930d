"""The jobs that a Python program makes: of its callables, and of pipelines by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Unpack

from pipelines.callables import Own, check_call, check_callable, name_of, same
from pipelines.engine import Engine
from pipelines.errors import BadSchedule, InvalidTransition, PipecallError
from pipelines.hosted import Hosted
from pipelines.pipeline import OPTIONS, Made, Pipeline, check_known, made_of
from pipelines.schedule import Schedule, read_schedules
from pipelines.verbs import Verbs
from pipelines.wishes import JOB_OPTIONS, SCHEDULE_OPTIONS, JobOptions, ScheduleOptions, Wish, wish
from pipelines.wording import found


class JobMaking(Hosted):
    """The part of `PipelineScheduler` that makes jobs."""

    # ------------------------------------------------------------ jobs of callables

    def add_cron_job(self, function: Callable[..., Any], cron: str, **options: Unpack[JobOptions]) -> Schedule:
        """Call a function at the times of a cron expression: minute, hour, day of month, month, day of week.

        `options` are `JobOptions`. The job goes by `job_id`, else by the function's name; one of that name is replaced,
        and keeps its place if it has the same times.

        Raises:
            BadSchedule: the times cannot be read, or never come.
            BadParameter: the function cannot be called with this context.
            ConfigError, PipecallError: options that are unknown, wrong, or do not fit the function.
            InvalidTransition: another function has the name; or a job that was not made in Python has it.
        """
        return self._add(function, {"cron": cron}, options)

    def add_interval_job(
        self,
        function: Callable[..., Any],
        *,
        weeks: int = 0,
        days: int = 0,
        hours: int = 0,
        minutes: int = 0,
        seconds: int = 0,
        **options: Unpack[JobOptions],
    ) -> Schedule:
        """Call a function every so often, by elapsed time; otherwise as `add_cron_job`."""
        return self._add(function, _interval(weeks, days, hours, minutes, seconds), options)

    def add_one_time_job(
        self, function: Callable[..., Any], run_at: datetime | date | str, **options: Unpack[JobOptions]
    ) -> Schedule:
        """Call a function once; otherwise as `add_cron_job`.

        `run_at` without an offset is wall time in the job's zone. A moment that is past already is a missed one: it
        runs at once within `misfire_grace`, and is recorded as missed when that is over. Once it came, adding the same
        job again does nothing.
        """
        return self._add(function, {"at": _moment(run_at)}, options)

    def _add(self, function: Callable[..., Any], time: Mapping[str, Any], options: JobOptions) -> Schedule:
        given: dict[str, Any] = dict(options)
        check_callable(function)
        check_known(given, JOB_OPTIONS, f"the job of {name_of(function)}")
        own = Own(function, called=True, args=tuple(given.get("args", ())), kwargs=dict(given.get("kwargs") or {}))
        of_runs = {key: value for key, value in given.items() if key in OPTIONS and value is not None}
        of_schedule = {key: value for key, value in given.items() if key in SCHEDULE_OPTIONS}
        if "overlap" in of_schedule:
            of_runs.pop("overlap")
        with self._lock:
            job_id = given.get("job_id") or self._free_for(function)
            wanted = self._wish(job_id, job_id, time, of_schedule)
            made = made_of(job_id, own, of_runs)  # type: ignore[arg-type]  # its keys were checked above
            check_call(job_id, own, wanted.context)
            self._refuse_taken(job_id, function)
            if self._inventory.made(job_id) is None:
                self._inventory.of_jobs.add(job_id)
            self._take(made)
            return self._make(wanted)

    def _free_for(self, function: Callable[..., Any]) -> str:
        """Return the id of a job without one: its function's name, if no other function has it."""
        name = name_of(function).strip("<>_")
        made = self._inventory.made(name)
        if made is not None and made.first is not None and not same(made.first.target, function):
            what = "a lambda has no name of its own" if name == "lambda" else f"another function is called '{name}'"
            raise InvalidTransition(f"{what}, and there is a job '{name}' already; give this one a job_id")
        return name

    def _refuse_taken(self, job_id: str, function: Callable[..., Any]) -> None:
        """Refuse the name of a pipeline that is not a job's own."""
        made = self._inventory.made(job_id)
        if made is None or job_id in self._inventory.of_jobs or (made.first and same(made.first.target, function)):
            return
        raise InvalidTransition(f"a pipeline is called '{job_id}' already; give this job another job_id")

    # ------------------------------------------------------------ schedules of pipelines

    def register(self, pipeline: Pipeline) -> None:
        """Let a pipeline made in Python be scheduled and run by its name; it replaces the one of that name.

        Raises:
            ConfigError: all that is wrong with its name and options.
            InvalidTransition: the pipelines file has a pipeline of that name.
            PipecallError: it shall run in processes, and one of its steps cannot be found by them.
        """
        if not isinstance(pipeline, Pipeline):
            raise PipecallError(f"register: found {found(pipeline)}; expected a Pipeline('name')")
        with self._lock:
            if pipeline.name in self._inventory.of_jobs:
                raise InvalidTransition(f"a job is called '{pipeline.name}' already; give this pipeline another name")
            self._take(pipeline.made())

    def schedule_cron(self, name: str, cron: str, **options: Unpack[ScheduleOptions]) -> Schedule:
        """Run a pipeline at the times of a cron expression.

        `name` is that of a pipeline of the pipelines file, one that was registered, or one that `register_pipeline`
        made. `options` are `ScheduleOptions`. The job goes by `job_id`; else by the pipeline's name, with a number
        behind it for the second one that this program makes of it, and so on.

        Raises:
            UnknownName: there is no such pipeline.
            BadSchedule: the times cannot be read, or never come.
            BadParameter: the pipeline does not take this context.
            InvalidTransition: a job that was not made in Python has that name.
        """
        return self._schedule(name, {"cron": cron}, options)

    def schedule_daily(self, name: str, at: str, **options: Unpack[ScheduleOptions]) -> Schedule:
        """Run a pipeline every day at `HH:MM`; otherwise as `schedule_cron`."""
        return self._schedule(name, {"daily": at}, options)

    def schedule_hourly(self, name: str, minute: int = 0, **options: Unpack[ScheduleOptions]) -> Schedule:
        """Run a pipeline every hour, so many minutes past it; otherwise as `schedule_cron`."""
        return self._schedule(name, {"hourly": minute}, options)

    def schedule_interval(
        self,
        name: str,
        *,
        weeks: int = 0,
        days: int = 0,
        hours: int = 0,
        minutes: int = 0,
        seconds: int = 0,
        **options: Unpack[ScheduleOptions],
    ) -> Schedule:
        """Run a pipeline every so often, by elapsed time; otherwise as `schedule_cron`."""
        return self._schedule(name, _interval(weeks, days, hours, minutes, seconds), options)

    def schedule_once(self, name: str, run_at: datetime | date | str, **options: Unpack[ScheduleOptions]) -> Schedule:
        """Run a pipeline once; see `add_one_time_job` for `run_at`, otherwise as `schedule_cron`."""
        return self._schedule(name, {"at": _moment(run_at)}, options)

    def _schedule(self, name: str, time: Mapping[str, Any], options: ScheduleOptions) -> Schedule:
        given: dict[str, Any] = dict(options)
        check_known(given, SCHEDULE_OPTIONS, f"the schedule of {name}")
        with self._lock:
            self._retime(self._inventory.take_registered())
            self._inventory.check_pipeline(name)
            made = self._inventory.made(name)
            if made is not None and made.first is not None:
                check_call(name, made.first, given.get("context") or {})
            job_id = given.get("job_id") or self._numbered(name)
            return self._make(self._wish(job_id, name, time, given))

    def _numbered(self, name: str) -> str:
        taken = self._inventory.wishes
        return next(each for each in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if each not in taken)

    # ------------------------------------------------------------ how

    def _wish(self, job_id: str, name: str, time: Mapping[str, Any], options: Mapping[str, Any]) -> Wish:
        zone = self._inventory.catalog.options.timezone
        return wish(job_id, name, time, options, zone=zone)  # type: ignore[arg-type]  # its keys were checked before

    def _make(self, wanted: Wish) -> Schedule:
        """Keep a wish, and make the job at once where the scheduler is started; what is refused is not kept."""
        wishes = self._inventory.wishes
        before = wishes.get(wanted.job_id)
        wishes[wanted.job_id] = wanted
        if not self.running:
            return wanted.schedule
        try:
            return self._call(lambda engine, verbs: self._made(wanted, engine, verbs))
        except BaseException:
            if before is None:
                del wishes[wanted.job_id]
            else:
                wishes[wanted.job_id] = before
            raise

    async def _made(self, wanted: Wish, engine: Engine, verbs: Verbs) -> Schedule:
        row = await self._scheduled(wanted, engine, verbs)
        (schedule,) = await read_schedules([row], engine)
        return schedule

    def _take(self, made: Made) -> None:
        """Take a pipeline in; jobs that wait for it, or have its older definition, are timed anew."""
        before = self._inventory.made(made.definition.name)
        self._inventory.add(made)
        if before is None or before.definition != made.definition:
            self._retime([made.definition.name])


def _interval(weeks: int, days: int, hours: int, minutes: int, seconds: int) -> dict[str, Any]:
    parts = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    return {"interval": {name: value for name, value in parts.items() if value}}


def _moment(at: datetime | date | str) -> str:
    if isinstance(at, str | date):
        return str(at) if isinstance(at, str) else at.isoformat()
    raise BadSchedule(f"run_at: {found(at)} is no time; give a datetime, a date, or ISO 8601 text")
