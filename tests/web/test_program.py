"""The whole program with its web: a token made in a terminal beside it, a run over REST, and its end."""

from __future__ import annotations

import json
import re
import subprocess

import httpx
import pytest

from pipelines.__main__ import main
from tests.project import Project, until


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service with its web on a free port; the project, the service and the web's address."""
    project = Project(tmp_path_factory.mktemp("program"), {"WEB": "on", "WEB_PORT": "0"})
    project.plugin("program_stages", "def good(item):\n    return 1\n")
    project.write("pipelines: {quick: {executor: inline, chain: [program_stages.good], schedule: {daily: '09:30'}}}")
    with project.service() as service:
        service.wait_for("ready; Ctrl-C stops")
        service.wait_for("web: http")
        yield project, service, re.findall(r"web: (http://\S+)", service.said)[0]


def typed(project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Type a command in another terminal."""
    return project.run("-m", "pipelines", *arguments)


def test_a_token_made_in_a_terminal_lets_in_until_it_is_revoked(served):
    """`pipecall token create` prints it alone; from then on it is needed; revoked, it is worth nothing."""
    project, service, address = served
    with httpx.Client(base_url=address, timeout=10) as client:
        assert 200 == client.get("/api/pipelines").status_code
        made = typed(project, "token", "create", "ci", "--level", "operator", "--expires", "90d")
        assert (0, True) == (made.returncode, made.stdout.startswith("pc_")), made.stderr
        assert 401 == client.get("/api/pipelines").status_code
        client.headers["Authorization"] = f"Bearer {made.stdout.strip()}"
        run = client.post("/api/pipelines/quick/runs")
        assert 202 == run.status_code
        path = run.headers["Location"]
        until(lambda: client.get(path).json()["run"]["state"] == "succeeded", "the run never ended")
        assert "token:ci" == project.query("SELECT actor_id FROM audit")[0][0]
        told = client.get("/api/scheduler").json()
        assert (service.process.pid, address) == (told["pid"], told["web"])
        assert 0 == typed(project, "token", "revoke", "ci").returncode
        typed(project, "token", "create", "other", "--level", "viewer")
        assert 401 == client.get("/api/pipelines").status_code


def test_status_says_where_the_web_is(served):
    """`pipecall status` shows its address."""
    project, _, address = served
    until(
        lambda: json.loads(typed(project, "status", "--json").stdout)["service"]["web"] == address,
        "the address was never told",
    )


def test_it_ends_while_browsers_listen(served):
    """SIGTERM ends it with 0, whoever listens to events."""
    project, service, address = served
    token = typed(project, "token", "create", "last", "--level", "viewer").stdout.strip()
    with httpx.stream("GET", f"{address}/api/events", headers={"Authorization": f"Bearer {token}"}) as answer:
        lines = answer.iter_lines()
        assert "retry: 3000" == next(lines)
        service.process.terminate()
        assert 0 == service.process.wait(20), service.said
        assert [] == [line for line in lines if line.startswith("event")]


@pytest.fixture
def here(project, monkeypatch):
    """A folder as the program sees it, with nothing in it."""
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    return project


def test_tokens_are_listed_without_their_secret(here, capsys):
    """The list has name, level and times; the secret is in neither the list nor the store."""
    assert 0 == main(["token", "create", "ci", "--level", "admin", "--expires", "12h"])
    secret = capsys.readouterr().out.strip()
    assert 0 == main(["token", "list", "--json"])
    (listed,) = json.loads(capsys.readouterr().out)
    assert ("ci", "admin", None) == (listed["name"], listed["level"], listed["used_at"])
    assert listed["expires_at"] > listed["created_at"]
    assert secret not in str(here.query("SELECT * FROM tokens"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["create", "Web token", "--level", "viewer"], "cannot be called"),
        (["create", "ci", "--level", "viewer", "--expires", "soon"], "such as 12h or 90d"),
        (["create", "ci", "--level", "king"], "king"),
        (["revoke", "nobody"], "no token is called 'nobody'"),
    ],
)
def test_a_wrong_wish_is_told(here, capsys, arguments, complaint):
    """What is wrong is said, with what was expected, and no token is made."""
    assert 0 != main(["token", *arguments])
    assert complaint in capsys.readouterr().err
    main(["token", "list", "--json"])
    assert [] == json.loads(capsys.readouterr().out)
