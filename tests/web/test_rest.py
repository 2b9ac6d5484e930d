"""The REST interface over a real socket: what each route does, once for a key, and how faults are told."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

import httpx
import pytest

from pipelines.store import processes, questions
from pipelines.store.processes import Beat
from pipelines.store.questions import Ask
from tests.others import process
from tests.project import until

OK, MADE, QUEUED, EMPTY = 200, 201, 202, 204
HELD = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def site(rest):
    """One service, open to this machine."""
    with rest() as site:
        yield site


@pytest.fixture
def client(site):
    """Somebody on this machine."""
    with site.client() as client:
        yield client


def twice(client, method: str, path: str, key: str, **more):
    """Ask for a change two times with the same key; the answers."""
    headers = {"Idempotency-Key": key}
    return [client.request(method, path, headers=headers, **more) for _ in range(2)]


def asked_for(site, schedule_id: str = "prices-daily") -> int:
    """Ask about an instant that a job has missed; the question's number."""
    wish = Ask(schedule_id, "prices", "log:alerts", [HELD], datetime.now(UTC))
    return int(site.on_loop(lambda: site.engine.writer.call(questions.ask, wish)))


def test_a_run_is_made_followed_and_made_only_once(site, client):
    """POST runs a pipeline and says where to follow it; the same key again gives the same run."""
    first, again = twice(client, "POST", "/api/pipelines/prices/runs", "a", json={"params": {"days": 7}})
    site.on_loop(lambda: site.engine.wait(first.json()["id"]))
    seen = client.get(first.headers["Location"]).json()
    assert (QUEUED, OK, first.json()["id"]) == (first.status_code, again.status_code, again.json()["id"])
    assert (None, "true") == tuple(each.headers.get("Idempotency-Replayed") for each in (first, again))
    assert ("succeeded", {"days": 7}, "local") == tuple(seen["run"][name] for name in ("state", "params", "actor"))
    assert [1] == [each["number"] for each in seen["attempts"]]


def test_a_key_counts_for_one_path(client):
    """The same key on another path is another request."""
    headers = {"Idempotency-Key": "shared"}
    one = client.post("/api/pipelines/prices/runs", headers=headers).json()
    other = client.post("/api/pipelines/wrong/runs", headers=headers).json()
    assert ["prices", "wrong"] == [one["pipeline"], other["pipeline"]]


def test_a_run_is_run_again_with_the_same_parameters(site, client):
    """Retry queues another run like it, once for each key."""
    run = site.ran("prices", days=3)
    first, again = twice(client, "POST", f"/api/runs/{run}/retry", "r")
    assert [QUEUED, OK] == [first.status_code, again.status_code]
    assert first.json()["id"] == again.json()["id"] != run
    assert {"days": 3} == first.json()["params"]


def test_a_run_that_goes_on_is_cancelled(site, client):
    """Cancel ends it with who and why; asked again with the same key it tells how the run now stands."""
    run = site.started("waits")
    assert 0.4 == site.engine.live[run].done
    first, again = twice(client, "POST", f"/api/runs/{run}/cancel", "c", json={"reason": "wrong day"})
    site.on_loop(lambda: site.engine.wait(run))
    last = client.get(f"/api/runs/{run}").json()["run"]
    assert [OK, OK] == [first.status_code, again.status_code]
    assert ("cancelled", "cancelled by local: wrong day") == (last["state"], last["reason"])
    assert 409 == client.post(f"/api/runs/{run}/cancel").status_code


def test_the_log_of_a_run_is_read_in_pages(site, client):
    """The newest lines, or those after a number."""
    run, path = site.started("waits"), "/api/runs/{}/log"
    until(lambda: client.get(path.format(run)).json() != [], "the log never came")
    (line,) = client.get(path.format(run)).json()
    later = client.get(path.format(run), params={"after": line["seq"], "tail": 1}).json()
    client.post(f"/api/runs/{run}/cancel")
    assert ([1, "at the gate"], []) == ([line["seq"], line["text"]], later)
    assert 404 == client.get(path.format(9_999)).status_code


def test_runs_are_read_page_by_page(site, client):
    """`next` leads from page to page until there is none, and no run is on two of them."""
    made = {site.ran("prices", days=9) for _ in range(3)}
    found, path = [], "/api/runs?pipeline=prices&state=succeeded&limit=2"
    while path:
        page = client.get(path).json()
        found += [run["id"] for run in page["runs"]]
        path = page["next"]
    assert sorted(set(found), reverse=True) == found
    assert made <= set(found)


@pytest.mark.parametrize(
    "path",
    [
        *("pipelines", "pipelines/prices", "runs", "schedules", "schedules/prices-daily", "scheduler", "incidents"),
        *("scheduler/health", "stats", "missed", "audit", "questions", "messages/undeliverable", "openapi.json"),
        "docs",
    ],
)
def test_each_read_answers(client, path):
    """Each read answers with 200 and the headers that all answers have."""
    answer = client.get(f"/api/{path}")
    assert (OK, "nosniff", "no-store") == (
        answer.status_code,
        answer.headers["x-content-type-options"],
        answer.headers["cache-control"],
    )


def test_a_job_is_made_paused_resumed_removed_and_restored(client):
    """The life of a job; each change that is sent twice with one key is made once, and answered with how it stands."""
    wish = {"pipeline": "prices", "when": "every 30 minutes", "name": "often", "params": {"days": 2}}
    made = twice(client, "POST", "/api/schedules", "1", json=wish)
    paused = twice(client, "POST", "/api/schedules/often/disable", "2", json={"reason": "holidays"})
    resumed = twice(client, "POST", "/api/schedules/often/enable", "3")
    removed = twice(client, "DELETE", "/api/schedules/often", "4")
    gone = client.get("/api/schedules/often").status_code
    restored = twice(client, "POST", "/api/schedules/often/restore", "5")
    steps = (made, paused, resumed, removed, restored)
    assert [(MADE, OK), *[(OK, OK)] * 4] == [(first.status_code, again.status_code) for first, again in steps]
    assert ["active", "paused", "active", "retired", "active"] == [again.json()["state"] for _, again in steps]
    assert ("often", "/api/schedules/often", 404) == (made[1].json()["id"], made[1].headers["location"], gone)
    assert "holidays" == paused[0].json()["pause_reason"]


def test_a_job_without_a_name_gets_one_and_only_one(client):
    """The same key makes one job, whatever it came to be called."""
    wish = {"pipeline": "wrong", "when": "daily at 03:00"}
    first, again = twice(client, "POST", "/api/schedules", "n", json=wish)
    jobs = [job["id"] for job in client.get("/api/schedules").json() if job["pipeline"] == "wrong"]
    assert [first.json()["id"]] == [again.json()["id"]] == jobs


def test_a_time_is_looked_at_before_it_is_used(client):
    """The preview says a time in words, with its next instants, and changes nothing."""
    told = client.post("/api/schedules/preview", json={"when": "0 9 * * 1-5", "count": 3, "timezone": "UTC"}).json()
    assert (3, "0 9 * * 1-5") == (len(told["next"]), told["spec"]["cron"])


def test_trouble_is_listed_looked_after_and_held_back(site, client):
    """A failed run opens an incident; it is acknowledged, and its pipeline muted and unmuted, each once for a key."""
    site.ran("wrong")
    (incident,) = client.get("/api/incidents").json()
    assert ("wrong", "failure", None) == tuple(incident[name] for name in ("pipeline", "kind", "acknowledged_by"))
    answers = twice(client, "POST", f"/api/incidents/{incident['id']}/acknowledge", "i")
    answers += twice(client, "POST", "/api/pipelines/wrong/mute", "m", json={"until": "2030-01-01T00:00:00Z"})
    answers += twice(client, "POST", "/api/pipelines/wrong/unmute", "u")
    assert [EMPTY] * 6 == [each.status_code for each in answers]
    assert [None, "true"] * 3 == [each.headers.get("Idempotency-Replayed") for each in answers]
    assert "local" == client.get("/api/incidents").json()[0]["acknowledged_by"]


def test_a_question_about_missed_runs_is_answered_once(site, client):
    """An open question is listed; the answer makes runs up, and sent again it tells of the same ones."""
    number = asked_for(site)
    listed = client.get("/api/questions").json()
    first, again = twice(client, "POST", f"/api/questions/{number}/answer", "q", json={"choice": "latest"})
    late = client.post(f"/api/questions/{number}/answer", json={"choice": "skip"})
    assert [number] == [each["id"] for each in listed]
    assert ([OK, OK], 409) == ([first.status_code, again.status_code], late.status_code)
    assert ("latest", "local") == tuple(again.json()["question"][name] for name in ("choice", "decided_by"))
    assert [] == client.get("/api/questions").json()


def test_messages_are_sent_again(client):
    """Redeliver answers with how many there were; the same request again does nothing."""
    answers = twice(client, "POST", "/api/messages/redeliver", "d")
    assert [(OK, {"count": 0})] * 2 == [(each.status_code, each.json()) for each in answers]


def test_the_audit_is_read_backwards(client):
    """Each change stands there once, and `before` leads to older ones."""
    for key in ("x", "y"):
        twice(client, "POST", "/api/pipelines/prices/unmute", key)
    newest = client.get("/api/audit", params={"limit": 2}).json()
    older = client.get("/api/audit", params={"limit": 1, "before": newest[0]["id"]}).json()
    assert [("mute", "prices", "api", "local")] * 2 == [
        (each["verb"], each["target"], each["door"], each["actor"]) for each in newest
    ]
    assert newest[1:] == older


def test_the_service_tells_of_itself(site, client):
    """Who serves, where, and what is in force; the health names the faces."""
    told = client.get("/api/scheduler").json()
    assert (os.getpid(), site.address, "UTC", 3) == tuple(
        told[name] for name in ("pid", "web", "timezone", "pipelines")
    )
    assert None is told["reload"]["problem"]
    assert client.get("/api/scheduler/health").json()["status"] in {"ok", "degraded"}


def test_a_changed_file_is_taken_up(site, client):
    """Reload says what changed; a wrong file is refused with every problem, and what was in force stays."""
    path = site.project.folder / "pipelines.yml"
    before = path.read_text()
    site.on_loop(site.engine.reload.now)
    path.write_text(f"{before}  more: {{executor: inline, chain: [{site.stages}.good]}}\n")
    assert {"change": "+1 pipeline"} == client.post("/api/scheduler/reload").json()
    path.write_text(before.replace(".good", ".gone"))
    refused = client.post("/api/scheduler/reload")
    assert (422, True) == (refused.status_code, "no stage 'gone'" in refused.json()["detail"])
    assert OK == client.get("/api/pipelines/more").status_code
    path.write_text(before)
    assert {"change": "−1 pipeline"} == client.post("/api/scheduler/reload").json()


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/api/pipelines/prizes", {}, 404),
        ("GET", "/api/runs/0", {}, 422),
        ("GET", "/api/runs/99999999999999999999", {}, 422),
        ("GET", "/api/runs", {"headers": {"Host": "evil.example"}}, 421),
        ("GET", "/api/nothing", {}, 404),
        ("PUT", "/api/runs", {}, 405),
        ("POST", "/api/pipelines/prices/runs", {"content": b"x" * 70_000}, 413),
        ("POST", "/api/pipelines/prices/runs", {"content": b"\xff\x00{"}, 422),
        ("POST", "/api/pipelines/prices/runs", {"content": b"[" * 30_000}, 422),
        ("POST", "/api/pipelines/prices/runs", {"headers": {"Origin": "http://evil.example"}}, 403),
        ("POST", "/api/pipelines/prices/runs", {"json": {"params": {"weeks": 1}}}, 422),
        ("POST", "/api/schedules", {"json": {"pipeline": "prices", "when": "whenever"}}, 422),
        ("POST", "/api/schedules", {"json": {"pipeline": "prizes", "when": "daily at 09:00"}}, 404),
        ("POST", "/api/schedules/prices-daily/enable", {}, 409),
        ("POST", "/api/schedules/prices-daily/disable", {"json": {"until": "2020-01-01T00:00:00Z"}}, 422),
        ("DELETE", "/api/schedules/prices-daily", {}, 409),
        ("GET", "/api/pipelines/a%00b%0d%0a", {}, 404),
        ("POST", "/api/incidents/999/acknowledge", {}, 404),
        ("POST", "/api/questions/999/answer", {"json": {"choice": "all"}}, 404),
    ],
)
def test_faults_are_told_as_problems(client, method, path, more, status):
    """Whatever is wrong with a request, the answer is a problem with its status, never a fault of ours."""
    answer = client.request(method, path, **more)
    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    assert status == answer.json()["status"]


def test_two_of_the_same_request_at_one_time_make_one_run(site):
    """However many come together, one takes effect."""

    async def work() -> set[int]:
        async with httpx.AsyncClient(base_url=site.address, timeout=30, verify=False) as client:
            asked = [
                client.post("/api/pipelines/prices/runs", headers={"Idempotency-Key": "together"}) for _ in range(8)
            ]
            return {answer.json()["id"] for answer in await asyncio.gather(*asked)}

    assert 1 == len(site.on_loop(work))


def test_what_may_go_on_at_one_time_is_the_limit_or_the_slots(site, client, monkeypatch):
    """Of `max_parallel_jobs` over all machines and the room that they have, the smaller one counts, on every page."""
    site.on_loop(lambda: site.engine.writer.call(processes.beat, Beat(process("w", slots=7), {})))
    for limit, places in ((5, 5), (12, 11)):
        monkeypatch.setattr(site.engine.reads, "_in_all", lambda limit=limit: limit)
        told = client.get("/api/processes").json()
        assert (11, limit) == (told["slots"], told["limit"])
        assert [places] * 2 == [client.get(f"/api/scheduler{path}").json()["slots"] for path in ("", "/health")]
        overview, machines = (client.get(path).text for path in ("/", "/machines"))
        assert f"of {places}</span>" in overview
        assert f"of {places}</span>" in machines
        assert (limit == 5) == ('11</span> slots <span class="muted">max_parallel_jobs is 5' in machines)
    site.on_loop(lambda: site.engine.writer.call(processes.leave, "w"))


def test_the_page_of_a_run_that_waits_looks_who_is_there(site, client):
    """What a queued run waits for is judged by who takes part now, not when somebody looked last."""
    first, second = (client.post("/api/pipelines/waits/runs").json()["id"] for _ in range(2))
    looked = site.engine.reads.seen()
    page = client.get(f"/runs/{second}").text
    for run in (second, first):
        client.post(f"/api/runs/{run}/cancel")
    assert f"queued behind #{first}" in page
    assert site.engine.reads.seen() is not looked


def test_those_who_share_the_store_are_told(site, client):
    """The service and a worker beside it, the leader, what each queue has, and who holds the run that goes on."""
    beat = Beat(process("w", queues=frozenset({"gpu"})), {})
    site.on_loop(lambda: site.engine.writer.call(processes.beat, beat))
    run = client.post("/api/pipelines/waits/runs").json()["id"]
    until(lambda: client.get(f"/api/runs/{run}").json()["run"]["state"] == "running", "it never ran")
    told = client.get("/api/processes").json()
    held, page = client.get(f"/api/runs/{run}").json(), client.get(f"/runs/{run}").text
    queues = {each["name"]: each for each in client.get("/api/queues").json()}
    client.post(f"/api/runs/{run}/cancel")
    site.on_loop(lambda: site.engine.writer.call(processes.leave, "w"))
    own, other = told["processes"]
    assert (own["id"], True, os.getpid(), 4) == (told["leader"], own["alive"], own["pid"], own["slots"])
    assert {"id": own["id"], "host": own["host"], "pid": os.getpid()} == held["holder"]
    assert f"{own['host']}, pid {os.getpid()}</bdi>" in page
    until(lambda: client.get(f"/api/runs/{run}").json()["holder"] is None, "it is still held")
    assert ("w", "worker", "h", ["gpu"], False) == tuple(other[n] for n in ("id", "role", "host", "queues", "leads"))
    assert (run, "waits", own["id"]) in [(each["run_id"], each["pipeline"], each["owner"]) for each in told["leases"]]
    assert ([own["id"]], [own["id"], "w"], 0) == (
        queues["default"]["servers"],
        queues["gpu"]["servers"],
        queues["gpu"]["waiting"],
    )
