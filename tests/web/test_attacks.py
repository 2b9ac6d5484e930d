"""The web against those who wish it ill: each line of a table is something that somebody could send."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from urllib.parse import urlsplit

import httpx
import pytest

from pipelines import Role, Tokens
from tests.project import Project
from tests.web.pages.site import HOSTILE, NASTY, PIPELINES, PLUGIN, Site, hidden
from web import server
from web.attempts import ALLOWED, REMEMBERED, Attempts
from web.face import WebFace
from web.hosts import STRANGE, Hosts, host_of, household, is_forwarded, plain_address

TOKEN = "a-token-for-all-of-it"
MINE = {"Authorization": f"Bearer {TOKEN}"}
PUBLIC = "pipecall.example"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two sites: one that is open to this machine, and one that needs tokens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        projects = [Project(tmp_path_factory.mktemp(name)) for name in ("open_stages", "shut_stages")]
        for project, name in zip(projects, ("open_stages", "shut_stages"), strict=True):
            project.write(PIPELINES.replace("page_stages", name))
            project.plugin(name, PLUGIN)
        with (
            Site(projects[0]).serving() as free,
            Site(projects[1], web_token=TOKEN, web_hosts=PUBLIC).serving() as shut,
        ):
            yield free, shut
    for name in ("open_stages", "shut_stages"):
        sys.modules.pop(name, None)


@pytest.fixture
def free(both):
    """The site without tokens."""
    return both[0]


@pytest.fixture
def shut(both):
    """The site that needs tokens."""
    return both[1]


def connected(site: Site) -> socket.socket:
    """Return a connection to a site."""
    address = urlsplit(site.address)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def raw(site: Site, *lines: str, body: bytes = b"") -> bytes:
    """Send a request as it stands; return all that comes until the server hangs up."""
    with connected(site) as line:
        line.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
        parts = []
        while part := line.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def status(answer: bytes) -> int:
    """Return the status of a raw answer."""
    return int(answer.split(b" ", 2)[1])


# ---------------------------------------------------------------- who is of this machine


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "127.1"),
        *("localhost:80/x", "[::1]/x", "[::1]x", "localhost:1:2", "localhost@evil.example", "localhost:", "localhost."),
        *("localhost, evil.example", "[::1", "::1", "localhost:999999", "", "\xff", "localhost\xa0"),
    ],
)
def test_only_names_of_this_machine_are_answered(free, host):
    """A name that is not known, or that only looks like one, is refused: no foreign page gets in by DNS."""
    assert status(raw(free, "GET /api/pipelines HTTP/1.1", f"Host: {host}")) in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"])
def test_the_names_of_this_machine_are_answered(free, host):
    """All ways to name this machine are known."""
    assert 200 == status(raw(free, "GET /api/pipelines HTTP/1.1", f"Host: {host}"))


def test_an_absolute_address_does_not_outdo_the_host(free):
    """What stands in the request line is no name under which the service is asked."""
    line = "GET http://evil.example/api/pipelines HTTP/1.1"
    assert (404, 421) == (status(raw(free, line, "Host: localhost")), status(raw(free, line, "Host: evil.example")))


@pytest.mark.parametrize(
    "header",
    [
        *("X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: ::1", "X-Forwarded-For: "),
        *("X-Forwarded-Host: pipecall.example", "X-Forwarded-Proto: https", "X-Forwarded-Proto: http"),
        *("Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1", "Via: 1.1 proxy", "CF-Connecting-IP: 127.0.0.1"),
    ],
)
def test_behind_a_proxy_nothing_is_open(free, header):
    """A request that a proxy passed on may come from anywhere, whatever host it names: it needs a token."""
    assert 401 == status(raw(free, "GET /api/pipelines HTTP/1.1", "Host: localhost", header))
    page = raw(free, "GET / HTTP/1.1", "Host: localhost", header)
    assert (303, True) == (status(page), b"location: /login?next=%2F" in page)
    assert 200 == status(raw(free, "GET /login HTTP/1.1", "Host: localhost", header)), (
        "else the browser goes in circles"
    )


def test_a_service_with_a_public_name_is_never_open():
    """Whoever names a public host means to be reached by others: then no address is enough."""
    known = [("", True), ("localhost", True), ("localhost:80,127.0.0.2", True), (PUBLIC, False), ("::1", True)]
    assert known == [(each, Hosts(each, "127.0.0.1").of_this_machine) for each, _ in known]
    assert not Hosts("", "0.0.0.0").of_this_machine


def test_hosts_are_read_as_browsers_write_them():
    """A port is left out, brackets as well; what is no host is none."""
    read = {"A.b:1": "a.b", "[::1]:8080": "::1", " localhost ": "localhost", "a/b": "", "a:b": "", "[x]": "", "a b": ""}
    assert read == {given: host_of(given) for given in read}
    assert Hosts("::1,A_b:8080", "10.0.0.1").knows("a_b")
    assert is_forwarded(["host", "X-FORWARDED-Port"])
    assert not is_forwarded(["host", "user-agent"])


# ---------------------------------------------------------------- in the name of somebody's browser


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "?"},
        {"Origin": "http://evil.example", "X-HTTP-Method-Override": "GET"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/pipelines/good/runs"),
        ("POST", "/api/scheduler/reload"),
        ("DELETE", "/api/schedules/good"),
        ("POST", "/pipelines/good/run"),
        ("POST", "/login"),
    ],
)
def test_no_other_site_changes_anything(free, headers, method, path):
    """What a foreign page can have a browser send is refused, also where no token is needed."""
    with free.client() as browser:
        form = {"csrf": "", "nonce": ""} | hidden(browser.get("/pipelines/good").text, "/pipelines/good/run")
        assert 403 == browser.request(method, path, headers=headers, data=form).status_code
        plain = {**headers, "Content-Type": "text/plain"}
        assert 403 == browser.request(method, path, headers=plain, content=b'{"params": {}}').status_code
    assert [] == free.project.query("SELECT id FROM runs WHERE pipeline = 'good'")


@pytest.mark.parametrize("csrf", [None, "", "x", "é", "0" * 64])
def test_no_form_is_taken_without_its_secret(free, csrf):
    """Each form carries what only its own page knows; that of another browser is none."""
    with free.client() as browser, free.client() as other:
        browser.get("/")
        good = hidden(other.get("/pipelines/good").text, "/pipelines/good/run")
        for form in ({**good, "csrf": csrf} if csrf is not None else {}, good):
            answer = browser.post("/pipelines/good/run", data=form)
            assert (403, True) == (answer.status_code, "out of date" in answer.text)
    assert [] == free.project.query("SELECT id FROM runs WHERE pipeline = 'good'")


def test_a_form_of_before_the_sign_in_is_of_no_use_after_it(shut):
    """Who could plant a cookie before the sign-in knows nothing of the session: its id and its forms are new."""
    with shut.client() as browser:
        browser.cookies.set("pipecall_session", "planted")
        before = hidden(browser.get("/login").text, "/login")
        answer = browser.post("/login", data={**before, "token": TOKEN})
        cookies = answer.headers.get_list("set-cookie")
        assert 303 == answer.status_code
        (told,) = [
            each
            for each in cookies
            if each.startswith("pipecall_session=") and "planted" not in each and '="' not in each
        ]
        assert ("HttpOnly" in told, "samesite=strict" in told.lower(), "Path=/" in told) == (True, True, True)
        assert 403 == browser.post("/pipelines/good/run", data=before).status_code


def test_cookies_are_for_https_alone_where_it_is_used(shut):
    """Behind a proxy that speaks TLS no cookie goes over an open line."""
    with shut.client() as browser:
        answer = browser.get("/login", headers={"X-Forwarded-Proto": "https", "Host": PUBLIC})
        assert answer.headers["set-cookie"].endswith("Secure")


# ---------------------------------------------------------------- tokens


def test_wrong_tokens_do_not_lock_out_the_good_one(shut, caplog):
    """Who guesses is slowed down, whatever addresses they make up; who came with a good token before goes on."""
    there = {"X-Forwarded-For": "203.0.113.7"}
    with shut.client() as client:
        assert 200 == client.get("/api/runs", headers={**MINE, **there}).status_code
        codes = [
            client.get("/api/runs", headers={"Authorization": f"Bearer {n}", **there}).status_code for n in range(12)
        ]
        assert [401] * 10 + [429] * 2 == codes
        assert 200 == client.get("/api/runs", headers={**MINE, **there}).status_code
        homes = [{"X-Forwarded-For": f"2001:db8:1:2::{number:x}"} for number in range(12)]
        codes = [client.get("/api/runs", headers={"Authorization": "Bearer x", **each}).status_code for each in homes]
        assert [401] * 10 + [429] * 2 == codes
        made_up = [{"X-Forwarded-For": f"made-up-{number}" + "x" * 5_000} for number in range(12)]
        codes = [client.get("/api/runs", headers={"Authorization": "Bearer x", **each}).status_code for each in made_up]
        assert [401] * 10 + [429] * 2 == codes
    assert "made-up" not in caplog.text
    assert "came from 203.0.113.7" in caplog.text


def test_many_guesses_at_one_time_are_no_way_round(shut):
    """Those who guess on many lines at one time are told no more than those who wait for each answer."""

    async def guess() -> list[int]:
        async with httpx.AsyncClient(base_url=shut.address, timeout=10, verify=False) as client:
            here = {"X-Forwarded-For": "203.0.113.8"}
            asked = [client.get("/api/runs", headers={"Authorization": f"Bearer g{n}", **here}) for n in range(60)]
            return [each.status_code for each in await asyncio.gather(*asked)]

    codes = asyncio.run(guess())
    assert (10, 50) == (codes.count(401), codes.count(429))


def test_what_is_remembered_of_guesses_is_bounded():
    """However many come, of each no more is kept than an address and a few instants."""
    attempts = Attempts()
    for number in range(REMEMBERED + 50):
        attempts.failed(f"a{number}")
        attempts.succeeded(f"a{number}", "d")
    assert (REMEMBERED, REMEMBERED) == (len(attempts._failed), len(attempts._good))
    for _ in range(ALLOWED):
        attempts.failed("b")
    assert attempts.wait_s("b", "d") > 0
    told = ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8:1:2:3::4", "fe80::1%eth0", "x" * 9_000, "", "1.2.3.4\r\nx"]
    assert ["203.0.113.7", "203.0.113.7", "2001:db8:1:2::/64", "fe80::/64", *[STRANGE] * 3] == [
        household(plain_address(each)) for each in told
    ]


async def test_a_token_that_is_easily_guessed_is_refused(project):
    """A short WEB_TOKEN keeps the web shut, and what is told of it says how to make a good one, not the token."""
    project.write("pipelines: {}")
    async with project.scheduler(web="on", web_port=0, web_token="hunter2-hunter2") as engine:
        face = WebFace(engine.settings)
        await face.start(engine)
        async with asyncio.timeout(10):
            while not face.state().startswith("disabled"):
                await asyncio.sleep(0.01)
        await face.stop()
    assert "has 15 characters; expected 16 or more" in face.state()
    assert "hunter2" not in face.state()


def test_a_session_ends_with_its_token(shut):
    """Who signed in is a stranger from the next request on once the token is revoked; the cookie opens nothing more."""
    tokens = Tokens(shut.engine.writer, shut.engine.reader)
    token = shut.on_loop(lambda: tokens.make("leaver", Role.OPERATOR, by="ann"))
    with shut.client() as browser:
        browser.post("/login", data={**hidden(browser.get("/login").text, "/login"), "token": token})
        form = hidden(browser.get("/pipelines/good").text, "/pipelines/good/run")
        shut.on_loop(lambda: tokens.revoke("leaver"))
        assert (303, 401) == (browser.get("/runs").status_code, browser.get("/api/runs").status_code)
        assert browser.post("/pipelines/good/run", data=form).status_code in (303, 403)
    assert [] == shut.project.query("SELECT id FROM runs")


def test_tokens_are_nowhere_told(shut):
    """Neither the log of the service, nor its store, nor what objects say of themselves holds a token."""
    with shut.client() as client:
        client.get("/api/runs", headers=MINE)
        client.get("/api/runs", headers={"Authorization": "Bearer wrong-token-that-was-typed"})
    stored = b"".join(each.read_bytes() for each in shut.project.folder.glob("store.db*"))
    assert TOKEN.encode() not in stored
    assert TOKEN not in repr(shut.engine.settings)


def test_strangers_learn_nothing(shut):
    """Without a token there is only the way in, whether it goes well, and nothing of what is there."""
    with shut.client() as client:
        assert {"status"} == set(client.get("/api/scheduler/health").json())
        for path in ("/metrics", "/api/runs", "/api/events", "/api/pipelines/good", "/api/pipelines/nothing"):
            assert 401 == client.get(path).status_code, path
        for path in ("/", "/pipelines/good", "/runs/1/log.txt", "/audit"):
            assert 303 == client.get(path).status_code, path
        assert client.get("/pipelines/good").text == client.get("/pipelines/nothing").text


def test_a_token_that_can_be_read_on_its_way_is_warned_of(shut):
    """Who signs in from elsewhere without TLS is told so; who does it on this machine, or with TLS, is not."""
    away, safe = {"X-Forwarded-For": "203.0.113.99"}, {"X-Forwarded-Proto": "https"}
    with shut.client() as browser:
        warned = ["not encrypted" in browser.get("/login", headers=each).text for each in (away, away | safe, {})]
    assert [True, False, False] == warned


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "path",
    [
        *("//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)"),
        *("/\t/evil.example", "/\r\nSet-Cookie: a=b", " //evil.example", "/x\x00", "///evil.example", "", "/" * 3_000),
    ],
)
def test_nobody_is_led_elsewhere(shut, path):
    """The page after the sign-in is one of ours, and nothing gets into the headers by it."""
    with shut.client() as browser:
        text = browser.get("/login", params={"next": path}).text
        form = {**hidden(text, "/login"), "token": TOKEN}
        assert "/" == form["next"]
        answer = browser.post("/login", data={**form, "next": path})
        assert (303, "/") == (answer.status_code, answer.headers["location"])
        assert "a" not in answer.cookies


@pytest.mark.parametrize(
    "path",
    [
        *("/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/..%5capp.py", "/static/%00"),
        *(
            "/static/..%252fapp.py",
            "/static//etc/passwd",
            "/static/%2fetc%2fpasswd",
            "/static/",
            "/static/.",
            "/static",
        ),
        *("/static/pipecall.css%00.js", "/static/" + "a" * 5_000, "/static/%ff%fe", "/static/pipecall.css/x"),
    ],
)
def test_static_files_are_all_there_is(free, path):
    """No address leads out of the folder of static files, and none makes a fault."""
    answer = raw(free, f"GET {path} HTTP/1.1", "Host: localhost")
    assert status(answer) in (400, 404)
    assert b"def " not in answer


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "CONNECT", "HEAD", "get", "X" * 200])
@pytest.mark.parametrize("path", ["/", "/api/runs", "/login", "/static/pipecall.css"])
def test_other_methods_do_nothing(free, method, path):
    """No method beyond those that are served is a way in, and nothing of it is a fault of ours."""
    answer = raw(free, f"{method} {path} HTTP/1.1", "Host: localhost", "Origin: http://evil.example")
    assert status(answer) < 500
    assert b"access-control" not in answer.lower()


# ---------------------------------------------------------------- the line itself


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: -1",),
        ("Content-Length: 0x2",),
        ("Transfer-Encoding: identity, chunked",),
        ("Transfer-Encoding : chunked",),
        ("Host: evil.example",),
        ("X: a\x00b",),
    ],
)
def test_a_request_has_one_meaning(free, lines):
    """What a proxy could read in another way is refused, and the line closed."""
    second = b"0\r\n\r\nGET /api/runs HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(free) as line:
        head = ["POST /api/pipelines/good/runs HTTP/1.1", "Host: localhost", *lines, "", ""]
        line.sendall("\r\n".join(head).encode("latin-1") + second)
        answer = b""
        while part := line.recv(65_536):
            answer += part
    assert (1, True) == (answer.count(b"HTTP/1.1 "), status(answer) in (400, 501))


def test_a_line_that_is_refused_is_closed(free):
    """Who sends a body that is too large, or for another host, cannot keep the line with it."""
    for host in ("localhost", "evil.example"):
        with connected(free) as line:
            line.sendall(f"POST /api/runs HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9999999\r\n\r\n".encode())
            answer = b""
            while part := line.recv(65_536):
                answer += part
        assert status(answer) in (413, 421)


def test_each_head_must_come_in_time(free, monkeypatch):
    """Neither a first request nor a later one can be begun and never ended; what is under way is left alone."""
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    with connected(free) as first, connected(free) as later, connected(free) as listening:
        listening.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert listening.recv(65_536).startswith(b"HTTP/1.1 200")
        later.sendall(b"GET /static/pipecall.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert later.recv(65_536).startswith(b"HTTP/1.1 200")
        for line in (first, later):
            line.sendall(b"GET / HTTP/1.1\r\n")
        began = time.monotonic()
        for line in (first, later):
            while line.recv(65_536):
                pass
        assert time.monotonic() - began < 5
        free.ran("takes", count=1)
        told = b""
        while b"event: run" not in told:
            part = listening.recv(65_536)
            assert part, "the stream was cut"
            told += part


def test_those_who_only_hold_lines_shut_nobody_out(free, monkeypatch):
    """Where there are too many connections, the one that idles the longest goes, and who comes is answered."""
    monkeypatch.setattr(server, "CONNECTIONS", 8)
    idle = [connected(free) for _ in range(12)]
    try:
        for line in idle[4:]:
            line.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(3):
            assert 200 == status(raw(free, "GET /static/pipecall.svg HTTP/1.1", "Host: localhost"))
    finally:
        for line in idle:
            line.close()


@pytest.mark.parametrize(
    "head", [["X: " + "a" * 70_000], [f"X{number}: a" for number in range(9_000)], ["Cookie: " + "a=b; " * 9_000]]
)
def test_large_heads_are_no_fault(free, head):
    """What is too large is refused, and the service goes on."""
    try:
        answer = raw(free, "GET /login HTTP/1.1", "Host: localhost", *head)
    except ConnectionError:
        answer = b"HTTP/1.1 400 "  # it hung up before all was sent
    assert status(answer) in (200, 303, 400, 431)
    assert 200 == status(raw(free, "GET /runs HTTP/1.1", "Host: localhost"))


# ---------------------------------------------------------------- what is shown


def test_what_people_type_is_shown_as_they_typed_it(free):
    """Reasons, searches, times and names that are made to break a page stand on it as text, and in no header."""
    hostile = NASTY.replace("\0", "")[:180]
    with free.client() as browser:
        form = hidden(browser.get("/schedules").text, "/schedules/good/pause")
        assert 303 == browser.post("/schedules/good/pause", data={**form, "reason": hostile}).status_code
        form = hidden(browser.get("/schedules").text, "/schedules/waits/pause")
        told = browser.post(
            "/schedules/waits/pause", data={**form, "nonce": hostile, "until": hostile, "back": hostile}
        )
        assert (303, "/") == (told.status_code, told.headers["location"])
        paths = ["/schedules", "/audit", "/", "/pipelines/good", f"/nothing/{NASTY[:200]}".replace("\0", "%00")]
        asked = [(path, {}) for path in paths]
        asked += [("/pipelines", {"q": hostile, "only": hostile, "page": hostile}), ("/audit", {"limit": hostile})]
        asked += [("/runs", {"pipeline": hostile, "state": hostile, "schedule": hostile, "before": hostile})]
        asked += [("/schedules", dict.fromkeys(("q", "pipeline", "when", "zone", "params", "name"), hostile))]
        for path, query in asked:
            answer = browser.get(path, params=query or None)
            assert answer.status_code in (200, 404, 422)
            assert [] == [each for each in HOSTILE if each in answer.text], path
            assert "script-src 'self'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"]
