"""The doors of one running service, each asked for the same verbs in its own way: REST, dashboard, terminal, Python."""

from __future__ import annotations

import asyncio
import html
import io
import json
import os
import re
from collections.abc import Awaitable, Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from pipelines import Actor, Asked, Engine, MakeUp, PipecallError, Role, Verbs, understand
from pipelines.__main__ import main
from tests.project import DEADLINE_S, Project

RUN_STATE = re.compile(r'<span class="state (\w+)"')
HIDDEN = re.compile(r'<input [^>]*?name="([^"]+)" value="([^"]*)"')
JOB_STATE = re.compile(r'data-label="State"><span class="tag \w+">([^<]+)<')


@dataclass(frozen=True)
class Answer:
    """What a door answered: whether it did what was asked, and in which words; `status` is that of HTTP, if it is."""

    done: bool
    words: str
    status: int = 0


class Door(Protocol):
    """A door as all tests use it. `name` is what the audit calls it, `actor` whom it names.

    What else people can ask for there is a method of the name of the verb, with one text: a pipeline, a job, a number.
    """

    name: str
    actor: str

    def run(self, pipeline: str, **params: str) -> Answer:
        """Queue a run."""

    def cancel(self, number: str) -> Answer:
        """Cancel a run."""

    def schedule(self, job: str, *, pipeline: str = "quick", when: str = "every day at 05:00") -> Answer:
        """Make a job."""

    def pause(self, job: str) -> Answer:
        """Pause a job."""

    def run_state(self, number: str) -> str:
        """Look at a run; return its state."""

    def job_state(self, job: str) -> str:
        """Look at a job; return its state, empty where there is none."""

    def log(self, number: str) -> str:
        """Return the log of a run."""


class Rest:
    """Programs, over HTTP with a token."""

    name = "api"

    def __init__(self, address: str, token: str, actor: str) -> None:
        """Ask the service at `address`."""
        self.actor = actor
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=f"{address}/api", headers=headers, timeout=DEADLINE_S, verify=False)

    def run(self, pipeline: str, **params: str) -> Answer:
        return self._post(f"/pipelines/{quote(pipeline)}/runs", {"params": params})

    def cancel(self, number: str) -> Answer:
        return self._post(f"/runs/{number}/cancel")

    def schedule(self, job: str, *, pipeline: str = "quick", when: str = "every day at 05:00") -> Answer:
        return self._post("/schedules", {"pipeline": pipeline, "when": when, "name": job})

    def pause(self, job: str) -> Answer:
        return self._post(f"/schedules/{quote(job)}/disable")

    def resume(self, job: str) -> Answer:
        return self._post(f"/schedules/{quote(job)}/enable")

    def remove(self, job: str) -> Answer:
        return self._answer("DELETE", f"/schedules/{quote(job)}")

    def restore(self, job: str) -> Answer:
        return self._post(f"/schedules/{quote(job)}/restore")

    def mute(self, pipeline: str) -> Answer:
        return self._post(f"/pipelines/{quote(pipeline)}/mute")

    def unmute(self, pipeline: str) -> Answer:
        return self._post(f"/pipelines/{quote(pipeline)}/unmute")

    def redeliver(self, _: str) -> Answer:
        return self._post("/messages/redeliver")

    def acknowledge(self, number: str) -> Answer:
        return self._post(f"/incidents/{number}/acknowledge")

    def make_up(self, number: str) -> Answer:
        return self._post(f"/questions/{number}/answer", {"choice": "skip"})

    def run_state(self, number: str) -> str:
        return str(self._get(f"/runs/{number}")["run"]["state"])

    def job_state(self, job: str) -> str:
        return str(next((each["state"] for each in self._get("/schedules") if each["id"] == job), ""))

    def log(self, number: str) -> str:
        return "\n".join(each["text"] for each in self._get(f"/runs/{number}/log"))

    def close(self) -> None:
        """Let go of the service."""
        self._client.close()

    def _post(self, path: str, body: Any = None) -> Answer:
        return self._answer("POST", path, json=body)

    def _answer(self, method: str, path: str, **more: Any) -> Answer:
        answer = self._client.request(method, path, **more)
        words = answer.json()["detail"] if answer.is_error else answer.text
        return Answer(answer.is_success, words, answer.status_code)

    def _get(self, path: str) -> Any:
        return self._client.get(path).raise_for_status().json()


class Dashboard:
    """A browser without script that signed in with a token: it sends the forms of the pages, and follows where sent."""

    name = "web"

    def __init__(self, address: str, token: str, actor: str) -> None:
        """Sign in to the service at `address`."""
        self.actor = actor
        self._browser = httpx.Client(base_url=address, timeout=DEADLINE_S, follow_redirects=True, verify=False)
        self._submit("/login", "/login", token=token)

    def run(self, pipeline: str, **params: str) -> Answer:
        path = f"/pipelines/{quote(pipeline)}"
        return self._submit(path, f"{path}/run", **{f"p.{name}": value for name, value in params.items()})

    def cancel(self, number: str) -> Answer:
        return self._submit(f"/runs/{number}", f"/runs/{number}/cancel")

    def schedule(self, job: str, *, pipeline: str = "quick", when: str = "every day at 05:00") -> Answer:
        draft = {"pipeline": pipeline, "when": when, "name": job}
        return self._submit(f"/schedules?{httpx.QueryParams(draft)}", "/schedules", **draft)

    def pause(self, job: str) -> Answer:
        return self._of_job(job, "pause")

    def resume(self, job: str) -> Answer:
        return self._of_job(job, "resume")

    def remove(self, job: str) -> Answer:
        return self._of_job(job, "remove")

    def restore(self, job: str) -> Answer:
        return self._of_job(job, "restore")

    def mute(self, pipeline: str) -> Answer:
        path = f"/pipelines/{quote(pipeline)}"
        return self._submit(path, f"{path}/mute")

    def unmute(self, pipeline: str) -> Answer:
        path = f"/pipelines/{quote(pipeline)}"
        return self._submit(path, f"{path}/unmute")

    def make_up(self, number: str) -> Answer:
        return self._submit("/missed", f"/questions/{number}/answer", choice="skip")

    def run_state(self, number: str) -> str:
        found = RUN_STATE.search(self._page(f"/runs/{number}"))
        assert found is not None
        return found[1]

    def job_state(self, job: str) -> str:
        found = JOB_STATE.search(self._page(f"/schedules?{httpx.QueryParams({'q': job})}"))
        return found[1] if found is not None else ""

    def log(self, number: str) -> str:
        return self._page(f"/runs/{number}/log.txt")

    def close(self) -> None:
        """Let go of the service."""
        self._browser.close()

    def _of_job(self, job: str, deed: str) -> Answer:
        return self._submit(f"/schedules?{httpx.QueryParams({'q': job})}", f"/schedules/{quote(job)}/{deed}")

    def _page(self, path: str) -> str:
        return self._browser.get(path).raise_for_status().text

    def _text(self, path: str) -> str:
        return self._browser.get(path).text

    def _submit(self, page: str, action: str, **typed: str) -> Answer:
        """Send the form of a page that goes to `action`; where there is none (any more), as an old page would."""
        found = re.search(rf'<form method="post" action="{re.escape(action)}".*?</form>', self._text(page), re.DOTALL)
        fields = dict(HIDDEN.findall(found[0] if found is not None else self._text("/")))
        kept = {name: html.unescape(value) for name, value in fields.items() if found is not None or name == "csrf"}
        answer = self._browser.post(action, data={"back": "/schedules", **kept, **typed})
        told = html.unescape(answer.text)
        return Answer(answer.is_success and 'class="banner bad"' not in told, told, answer.status_code)


class Terminal:
    """`pipecall`, each time in a process of its own."""

    name = "terminal"

    def __init__(self, project: Project, actor: str) -> None:
        """Work in the project's folder, on its store."""
        self.actor = actor
        self._project = project

    def run(self, pipeline: str, **params: str) -> Answer:
        return self._do("run-now", pipeline, *(f"--param={name}={value}" for name, value in params.items()))

    def cancel(self, number: str) -> Answer:
        return self._do("cancel", number)

    def schedule(self, job: str, *, pipeline: str = "quick", when: str = "every day at 05:00") -> Answer:
        return self._do("add-job", pipeline, "--when", when, "--name", job)

    def pause(self, job: str) -> Answer:
        return self._do("pause", job)

    def resume(self, job: str) -> Answer:
        return self._do("resume", job)

    def remove(self, job: str) -> Answer:
        return self._do("remove-job", job)

    def restore(self, job: str) -> Answer:
        return self._do("restore-job", job)

    def mute(self, pipeline: str) -> Answer:
        return self._do("mute", pipeline)

    def unmute(self, pipeline: str) -> Answer:
        return self._do("unmute", pipeline)

    def redeliver(self, _: str) -> Answer:
        return self._do("redeliver")

    def run_state(self, number: str) -> str:
        runs = json.loads(self._do("history", "--json").words)
        return str(next(each["state"] for each in runs if each["id"] == int(number)))

    def job_state(self, job: str) -> str:
        jobs = json.loads(self._do("jobs", "--json").words)
        return str(next((each["state"] for each in jobs if each["id"] == job), ""))

    def log(self, number: str) -> str:
        return self._do("logs", number).words

    def status(self) -> Any:
        """Return what is known of the service."""
        return json.loads(self._do("status", "--json").words)["service"]

    def token(self, name: str, level: str) -> str:
        """Make a token and return it."""
        return self._do("token", "create", name, "--level", level).words.strip()

    def _do(self, *arguments: str) -> Answer:
        done = self._project.run("-m", "pipelines", *arguments)
        return Answer(done.returncode == 0, done.stderr if done.returncode else done.stdout)


class Console(Terminal):
    """The same program called in this process, whose folder and environment must be the project's: it is quicker."""

    def _do(self, *arguments: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(list(arguments))
        return Answer(code == 0, err.getvalue() if code else out.getvalue())


class Python:
    """A program of its own on the same store: an engine that is attached beside the service."""

    name = "python"
    actor = "ann"

    def __init__(self, project: Project) -> None:
        """Work on the project's store."""
        self._project = project
        self._asked = Asked(Actor("python:ann", self.actor, level=Role.ADMIN), self.name)

    def run(self, pipeline: str, **params: str) -> Answer:
        return self._do(lambda _, verbs: verbs.run(self._asked, pipeline, params))

    def cancel(self, number: str) -> Answer:
        return self._do(lambda _, verbs: verbs.cancel(self._asked, int(number)))

    def schedule(self, job: str, *, pipeline: str = "quick", when: str = "every day at 05:00") -> Answer:
        async def made(engine: Engine, verbs: Verbs) -> Any:
            spec = understand(when, zone="UTC", now=engine.clock()).spec
            return await verbs.schedule(self._asked, pipeline, spec, timezone="UTC", name=job)

        return self._do(made)

    def pause(self, job: str) -> Answer:
        return self._do(lambda _, verbs: verbs.pause(self._asked, job))

    def resume(self, job: str) -> Answer:
        return self._do(lambda _, verbs: verbs.resume(self._asked, job))

    def remove(self, job: str) -> Answer:
        return self._do(lambda _, verbs: verbs.remove(self._asked, job))

    def restore(self, job: str) -> Answer:
        return self._do(lambda _, verbs: verbs.restore(self._asked, job))

    def mute(self, pipeline: str) -> Answer:
        return self._do(lambda _, verbs: verbs.mute(self._asked, pipeline, None))

    def unmute(self, pipeline: str) -> Answer:
        return self._do(lambda _, verbs: verbs.unmute(self._asked, pipeline))

    def redeliver(self, _: str) -> Answer:
        return self._do(lambda _, verbs: verbs.redeliver(self._asked))

    def acknowledge(self, number: str) -> Answer:
        return self._do(lambda _, verbs: verbs.acknowledge(self._asked, int(number)))

    def make_up(self, number: str) -> Answer:
        return self._do(lambda _, verbs: verbs.make_up(self._asked, int(number), MakeUp.SKIP))

    def run_state(self, number: str) -> str:
        return self._do(lambda engine, _: self._of(engine, int(number))).words

    def job_state(self, job: str) -> str:
        async def look(engine: Engine, _: Verbs) -> str:
            row = engine.jobs.rows.get(job)
            return row.state.value if row is not None else ""

        return self._do(look).words

    def log(self, number: str) -> str:
        async def look(engine: Engine, _: Verbs) -> str:
            return "\n".join(line.text for line in await engine.reads.log(int(number)))

        return self._do(look).words

    def write(self, store_function: Callable[..., Any], value: Any) -> Any:
        """Have the store changed as the engine itself would; return what came of it."""
        made: list[Any] = []

        async def work(engine: Engine, _: Verbs) -> None:
            made.append(await engine.writer.call(store_function, value))

        assert self._do(work).done
        return made[0]

    async def _of(self, engine: Engine, number: int) -> str:
        return (await engine.reads.run(number)).state.value

    def _do(self, work: Callable[[Engine, Verbs], Awaitable[Any]]) -> Answer:
        async def attached() -> Any:
            settings = self._project.settings()
            async with Engine(settings, self._project.catalog(settings), env=os.environ, attached=True) as engine:
                await engine.attach()
                return await work(engine, Verbs(engine))

        try:
            return Answer(True, str(asyncio.run(attached())))
        except PipecallError as error:
            return Answer(False, str(error))
