"""A web server on loopback for the tests of stages that talk HTTP, and the real files they are tried on."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

DATA = Path(__file__).parents[3] / "shared" / "data"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(routes: Mapping[str, web.Response | Handler]) -> AsyncIterator[str]:
    """Serve `routes`, by path a handler or keywords of the response, and give the server's URL without a slash."""
    app = web.Application()
    for path, answer in routes.items():
        app.router.add_route("*", path, answer if callable(answer) else always(**answer))
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("")).rstrip("/")


def always(**response) -> Handler:
    """A handler that gives the same response each time."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(**response)

    return handle


def real_file(name: str) -> Path:
    """A file of the shared real data; the test is skipped where there is none, and fails so on CI."""
    path = DATA / name
    if not path.is_file():
        reason = f"the shared data file {name} is not beside this project"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
