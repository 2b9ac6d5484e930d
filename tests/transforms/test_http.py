"""HttpFetch and Webhook against a web server on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from datetime import UTC, datetime

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import PipecallError, RetryLater
from pipelines.testing import MemoryState, run_transform
from pipelines.transforms.http import HttpFetch, Webhook
from pipelines.transforms.web import MAX_WAIT_S, HttpError, HttpRefused, Page, retry_after_s, shown
from tests.transforms.loopback import serving

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def as_json(value, **more):
    return {"text": json.dumps(value), "content_type": "application/json"} | more


async def fetched(answer, items=(None,), *, state=None, run_params=None, at="/x", **kwargs):
    async with serving({"/x": answer}) as base:
        return await run_transform(HttpFetch(base + at, **kwargs), items, state=state, params=run_params)


async def test_a_json_list_gives_its_elements():
    """Each element of a JSON list is one item."""
    assert [1, {"a": 2}] == await fetched(as_json([1, {"a": 2}]))


async def test_a_json_object_is_one_item():
    """A JSON document that is no list is one item."""
    assert [{"a": 2}] == await fetched(as_json({"a": 2}))


async def test_path_finds_the_list():
    """`path` is a JMESPath to the list inside the document."""
    async with serving({"/x": as_json({"data": {"rows": [{"n": 1}, {"n": 2}]}})}) as base:
        assert [1, 2] == await run_transform(HttpFetch(base + "/x", path="data.rows[].n"))


async def test_a_path_that_finds_nothing_is_an_error():
    """A document in another shape than expected fails the run, naming what there was."""
    async with serving({"/x": as_json({"message": "moved"})}) as base:
        with pytest.raises(HttpError, match="nothing at the path; the document is an object with message"):
            await run_transform(HttpFetch(base + "/x", path="data"))


async def test_text_is_one_item():
    """Text gives one item with url, status and text."""
    async with serving({"/x": {"text": "hej å"}}) as base:
        assert [{"url": f"{base}/x", "status": 200, "text": "hej å"}] == await run_transform(HttpFetch(base + "/x"))


async def test_json_lines_give_a_value_each():
    """Each non-empty line of JSON lines is one item."""
    assert [1, {"a": "b"}] == await fetched({"text": '1\n\n{"a": "b"}\n', "content_type": "application/x-ndjson"})


async def test_a_bad_line_is_named():
    """An error in JSON lines names the line."""
    with pytest.raises(HttpError, match=r"/x: line 2: not JSON"):
        await fetched({"text": "1\nx"}, format="jsonl")


@pytest.mark.parametrize("text", ["{", "[NaN]", "[" * 100_000, ""])
async def test_what_is_not_json_is_an_error(text):
    """Broken, endlessly nested and non-standard JSON fails with the URL."""
    with pytest.raises(HttpError, match=r"GET http://.*/x: not JSON"):
        await fetched({"text": text}, format="json")


async def test_an_unchanged_document_gives_no_items():
    """The second run sends the ETag of the first and gets no items for 304."""
    state, asked = MemoryState(), []

    async def handle(request):
        asked.append(request.headers.get("If-None-Match"))
        return web.Response(status=304) if asked[-1] else web.json_response([1], headers={"ETag": '"v1"'})

    async with serving({"/x": handle}) as base:
        runs = [await run_transform(HttpFetch(base + "/x"), state=state) for _ in range(2)]
    assert ([[1], []], [None, '"v1"']) == (runs, asked)


async def test_an_unused_document_is_fetched_again():
    """A run that failed after the fetch does not make the next one believe that it had seen the document."""
    state = MemoryState()

    async def handle(request):
        assert "If-None-Match" not in request.headers
        return web.Response(text="[1,", content_type="application/json", headers={"ETag": '"v1"'})

    async with serving({"/x": handle}) as base:
        for _ in range(2):
            with pytest.raises(HttpError):
                await run_transform(HttpFetch(base + "/x"), state=state)
    assert {} == state.values


async def test_a_304_nobody_asked_for_is_an_error():
    """304 without a conditional request is no success."""
    with pytest.raises(HttpRefused, match="304"):
        await fetched({"status": 304}, conditional=False)


async def test_credentials_stay_out_of_the_state():
    """What is remembered between runs holds neither password nor key."""
    state = MemoryState()
    async with serving({"/x": as_json([], headers={"ETag": "a"})}) as base:
        url = base.replace("//", "//me:hush@") + "/x?api_key=hush2&page=1"
        await run_transform(HttpFetch(url), state=state)
    assert state.values
    assert "hush" not in json.dumps(state.values)


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_names_the_wait(status):
    """429 and 503 with Retry-After raise RetryLater with the seconds the server named."""
    with pytest.raises(RetryLater) as caught:
        await fetched({"status": status, "headers": {"Retry-After": "17"}})
    assert 17 == caught.value.after_s


@pytest.mark.parametrize(
    ("status", "kind"), [(400, HttpRefused), (404, HttpRefused), (408, HttpError), (429, HttpError), (500, HttpError)]
)
async def test_a_status_says_whether_to_try_again(status, kind):
    """4xx is refused for good, but for those that pass; 5xx is not."""
    with pytest.raises(HttpError) as caught:
        await fetched({"status": status, "text": "no\nsuch   thing"})
    assert (kind, kind is HttpError) == (type(caught.value), caught.value.retryable)
    assert f": {status} " in str(caught.value)
    assert str(caught.value).endswith("no such thing")


async def test_an_error_hides_credentials():
    """The URL in an error has neither password nor key."""
    async with serving({}) as base:
        url = base.replace("//", "//me:hush@") + "/x?token=hush&page=2"
        with pytest.raises(HttpRefused) as caught:
            await run_transform(HttpFetch(url))
    assert f"GET {base}/x?token=…&page=2" in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_a_body_over_the_limit_is_refused_unread():
    """A body that never ends is given up once it is over the limit."""

    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport and not request.transport.is_closing():
            await response.write(b"x" * 65536)
        return response

    with pytest.raises(HttpRefused, match=r"larger than max_bytes \(100000\)"):
        await fetched(endless, max_bytes=100_000)


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused():
    """The limit holds for the decompressed body."""
    bomb = {"body": gzip.compress(b"0" * 5_000_000), "headers": {"Content-Encoding": "gzip"}}
    with pytest.raises(HttpRefused, match="larger than max_bytes"):
        await fetched(bomb, max_bytes=100_000)


async def test_the_timeout_covers_the_whole_answer():
    """A server that never ends its answer runs into timeout_s."""

    async def drips(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport and not request.transport.is_closing():
            await response.write(b"x")
            await asyncio.sleep(0.02)
        return response

    with pytest.raises(HttpError, match="no complete answer within"):
        await fetched(drips, timeout_s=0.2)


async def test_redirects_are_followed():
    """A redirect leads to the document; the item names where it was found."""
    async with serving({"/a": {"status": 302, "headers": {"Location": "/b"}}, "/b": {"text": "here"}}) as base:
        assert [{"url": f"{base}/b", "status": 200, "text": "here"}] == await run_transform(HttpFetch(base + "/a"))


@pytest.mark.parametrize(("hops", "good"), [(10, True), (11, False)])
async def test_at_most_ten_redirects_are_followed(hops, good):
    """The tenth redirect is followed, the eleventh is not."""

    async def handle(request):
        left = int(request.query["left"])
        return (
            web.Response(status=302, headers={"Location": f"/x?left={left - 1}"}) if left else web.Response(text="ok")
        )

    async with serving({"/x": handle}) as base:
        stage = HttpFetch(f"{base}/x?left={hops}")
        if good:
            assert "ok" == (await run_transform(stage))[0]["text"]
        else:
            with pytest.raises(HttpRefused, match="more than 10 times"):
                await run_transform(stage)


async def test_a_redirect_to_another_protocol_is_refused():
    """Only http and https are followed."""
    with pytest.raises(HttpRefused, match="no http or https URL"):
        await fetched({"status": 302, "headers": {"Location": "file:///etc/passwd"}})


async def test_nobody_listening_is_an_error_that_may_pass():
    """A refused connection is an HttpError, which another attempt may mend."""
    async with serving({}) as base:
        pass
    with pytest.raises(HttpError, match="no connection") as caught:
        await run_transform(HttpFetch(base + "/x"))
    assert caught.value.retryable


async def test_a_url_is_filled_from_each_item():
    """`{name}` is filled per item, percent-encoded, so that a value cannot change the path."""

    async def echo(request):
        return web.json_response({"path": request.rel_url.raw_path})

    async with serving({"/{rest:.*}": echo}) as base:
        found = await run_transform(HttpFetch(base + "/c/{name}"), [{"name": "a b"}, {"name": "../x?y#z"}])
    assert [{"path": "/c/a%20b"}, {"path": "/c/..%2Fx%3Fy%23z"}] == found


async def test_a_url_is_filled_from_the_runs_parameters():
    """What the item lacks comes from the parameters of the run."""
    assert [7] == await fetched(as_json([7]), run_params={"page": "x"}, at="/{page}")


async def test_a_url_may_be_an_items_link():
    """A url that is nothing but a name is the item's value as it stands."""
    async with serving({"/x": as_json([5])}) as base:
        assert [5] == await run_transform(HttpFetch("{link}"), [{"link": f"{base}/x"}])


@pytest.mark.parametrize("item", [{"link": "file:///etc/passwd"}, {"link": None}, {}, "text"])
async def test_a_link_that_is_none_is_refused(item):
    """An item whose link is missing or leads elsewhere than to http fails the run."""
    with pytest.raises((HttpRefused, ValueError)):
        await run_transform(HttpFetch("{link}"), [item])


async def test_a_fixed_url_is_fetched_once():
    """Without names in the url, further items change nothing."""
    assert [1] == await fetched(as_json([1]), [None, None, {}])


async def test_what_is_sent_arrives():
    """Method, headers, query and a JSON body arrive as they were given."""

    async def echo(request):
        return web.json_response(
            [request.method, request.headers["X-A"], dict(request.query), await request.json(), request.content_type]
        )

    sent = {"method": "POST", "headers": {"X-A": "b"}, "params": {"n": 1, "t": True}, "body": {"å": [1]}}
    expected = ["POST", "b", {"n": "1", "t": "true"}, {"å": [1]}, "application/json"]
    assert expected == await fetched(echo, **sent)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"url": "ftp://x"}, "must start with http"),
        ({"url": "http://x", "path": "a["}, "is no JMESPath"),
        ({"url": "http://x", "timeout_s": 0}, "must be above 0"),
        ({"url": "http://x", "max_bytes": -1}, "must be above 0"),
        ({"url": "http://x", "headers": {"A": "b\r\nC: d"}}, "line break"),
    ],
)
def test_wrong_arguments_are_refused_when_built(given, message):
    """A stage that cannot work is refused at load, with what is wrong."""
    with pytest.raises(ValueError, match=message):
        HttpFetch(**given)


async def test_a_stage_outside_a_chain_says_so():
    """Used without being entered, the stage says how it is used."""
    with pytest.raises(PipecallError, match="was not entered"):
        await HttpFetch("http://127.0.0.1:9/").send(HttpFetch("http://127.0.0.1:9/")._request)


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/html; charset=latin-1", "å".encode("latin-1"), "å"),
        ("text/html", b'<meta charset="cp1252">\x80', '<meta charset="cp1252">€'),
        ("text/plain", b"\xef\xbb\xbfa", "a"),
        ("text/plain; charset=hex", b"a\xff", "a\ufffd"),
        ("text/plain; charset=../../x", b"a", "a"),
    ],
)
def test_text_is_read_by_the_charset_that_is_named(content_type, body, text):
    """Header, then HTML's own word, then UTF-8; a charset that is none does no harm."""
    assert text == Page("http://x", 200, {"Content-Type": content_type}, body).text()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("999999999999", MAX_WAIT_S),
        ("soon", None),
        ("-5", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    """Seconds and HTTP dates are read, a day at most; anything else is as if it were not there."""
    assert seconds == retry_after_s(value, NOW)


@settings(max_examples=80)
@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_reader(value):
    """Whatever a server sends gives None or a wait from nothing to a day."""
    wait = retry_after_s(value, NOW)
    assert wait is None or 0 <= wait <= MAX_WAIT_S


@settings(max_examples=100)
@given(st.text("abc/@:?#&=", max_size=20))
def test_no_password_is_shown(rest):
    """Whatever follows, the password before the @ of the host is not shown."""
    assert "hush" not in shown(f"https://me:hush@host/{rest}")


async def received(items, answers=({},), **kwargs):
    """Post items to a server that gives `answers` in turn, the last one for ever; return items, requests and error."""
    seen = []

    async def take(request):
        seen.append((request.headers["Idempotency-Key"], await request.json()))
        return web.Response(**answers[min(len(seen), len(answers)) - 1])

    async with serving({"/hook": take}) as base:
        return await run_transform(Webhook(base + "/hook", **kwargs), items), seen


async def test_each_item_is_posted_and_passed_on():
    """Items are posted as they are, with keys of their own, and go on unchanged."""
    items = [{"a": 1}, {"a": datetime(2026, 1, 1, tzinfo=UTC)}]
    passed, seen = await received(items)
    assert items == passed
    assert [{"a": 1}, {"a": "2026-01-01T00:00:00+00:00"}] == [body for _, body in seen]
    assert 2 == len({key for key, _ in seen})


async def test_batches_are_posted_as_lists():
    """With a batch, lists are posted, the last one shorter."""
    passed, seen = await received([1, 2, 3], batch=2)
    assert ([1, 2, 3], [[1, 2], [3]]) == (passed, [body for _, body in seen])


async def test_keys_go_with_what_is_sent_and_not_with_its_place():
    """In another order the same items carry the same keys, equal ones keys of their own, a changed one a new one."""
    _, first = await received([{"a": 1}, {"a": 2}, {"a": 1}])
    _, again = await received([{"a": 2}, {"a": 1}, {"a": 1}, {"a": 3}])
    keys = [key for key, _ in first]
    assert (3, sorted(keys)) == (len(set(keys)), sorted(key for key, _ in again[:3]))
    assert again[3][0] not in keys
    assert all(re.fullmatch(r"1:Webhook:[0-9a-f]{16}(-2)?", key) for key in keys)


async def test_a_key_of_ones_own_goes_before():
    """The header in `headers` is the one that is sent."""
    _, seen = await received(["a"], headers={"Idempotency-Key": "mine"})
    assert ["mine"] == [key for key, _ in seen]


async def test_an_idempotency_key_stays_the_same_over_attempts():
    """The same item in another attempt of the run carries the same key."""
    seen = []

    async def take(request):
        seen.append(request.headers["Idempotency-Key"])
        return web.Response(status=500 if len(seen) == 1 else 200)

    async with serving({"/hook": take}) as base:
        with pytest.raises(HttpError):
            await run_transform(Webhook(base + "/hook"), ["a"])
        await run_transform(Webhook(base + "/hook"), ["a"])
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status": 400}, HttpRefused),
        ({"status": 500}, HttpError),
        ({"status": 302, "headers": {"Location": "/hook"}}, HttpRefused),
        ({"status": 503, "headers": {"Retry-After": "3"}}, RetryLater),
    ],
)
async def test_a_webhook_that_is_not_taken_fails(answer, kind):
    """Every status but 2xx is an error, a redirect too, because it would lose the body."""
    with pytest.raises(kind) as caught:
        await received([1], [answer])
    assert kind is type(caught.value)


async def test_an_item_that_is_no_json_is_refused():
    """An item that JSON cannot hold is an error, not a half-sent request."""
    with pytest.raises(ValueError, match="cannot be sent as JSON"):
        await received([{"a": float("nan")}])


def test_a_batch_below_one_is_refused():
    """A batch holds at least one item."""
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Webhook("https://x", batch=0)
