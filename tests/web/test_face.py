"""The web as the service sees it: its port, its states, and that it never stops pipelines."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys

import httpx
import pytest

from tests.project import ROOT
from web.door import web_face
from web.face import WebFace

YAML = "pipelines: {quick: {executor: inline, chain: [face_stages.good]}}"
CODE = "def good(item):\n    return 1\n"


@pytest.fixture
def here(project):
    """A project with one pipeline."""
    project.plugin("face_stages", CODE)
    project.write(YAML)
    return project


async def reached(face, *begin: str) -> str:
    """Wait until the state begins so; return it."""
    async with asyncio.timeout(15):
        while not face.state().startswith(begin):
            await asyncio.sleep(0.01)
    return face.state()


async def test_a_port_in_use_is_waited_for(here):
    """Where somebody else has the port, the web waits and says so; pipelines run; it serves once the port is free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with here.scheduler(web="on", web_port=port) as engine:
            await engine.start()
            face = WebFace(engine.settings, again_s=0.05)
            await face.start(engine)
            state = await reached(face, "waiting")
            (run,) = await engine.run_now(["quick"])
            assert "succeeded" == (await engine.wait(run.id)).state
            assert (f"127.0.0.1:{port}" in state, "WEB_PORT" in state, None) == (True, True, engine.web_address)
            taken.close()
            await reached(face, "ready")
            assert f"http://127.0.0.1:{port}" == face.address == engine.web_address
            await face.stop()
            assert (None, "off: stopped") == (engine.web_address, face.state())
            await engine.drain(1)


async def test_beyond_this_machine_a_token_is_needed(here):
    """Without any token the web refuses to listen where others can reach it, and says what to do; pipelines go on."""
    async with here.scheduler(web="on", web_port=0, web_host="0.0.0.0") as engine:
        await engine.start()
        face = WebFace(engine.settings)
        await face.start(engine)
        engine.vitals.faces["web"] = face.state
        state = await reached(face, "disabled")
        (run,) = await engine.run_now(["quick"])
        assert "succeeded" == (await engine.wait(run.id)).state
        assert "pipecall token create" in state
        assert [f"web: {state}"] == [each for each in (await engine.health()).complaints if each.startswith("web")]
        await face.stop()
        await engine.drain(1)


async def test_it_serves_through_its_door_and_leaves(here):
    """Through the door it loads, serves, and lets go of its port; the health names it."""
    async with here.scheduler(web="on", web_port=0) as engine:
        face = web_face(engine.settings, {})
        assert ("web", {}, {}, None) == (face.name, face.channels(), face.absent(), face.address)
        await face.start(engine)
        engine.vitals.faces[face.name] = face.state
        await reached(face, "ready")
        address = face.address
        async with httpx.AsyncClient(base_url=address, verify=False) as client:
            told = (await client.get("/api/scheduler/health")).json()
        assert {"web": "ready"} == told["faces"]
        await face.leave()
        await face.stop()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=5)


async def test_it_can_be_started_again(here):
    """After a stop it serves again, follows the engine once as before, and lets people listen."""
    async with here.scheduler(web="on", web_port=0) as engine:
        face = web_face(engine.settings, {})
        watching: list[int] = []
        for _ in range(2):
            await face.start(engine)
            await reached(face, "ready")
            watching.append(len(engine.reload._told))
            async with (
                httpx.AsyncClient(base_url=face.address, verify=False) as client,
                client.stream("GET", "/api/events") as events,
            ):
                assert 200 == events.status_code
            await face.stop()
            assert face.address is None
        assert watching[0] == watching[1]


async def test_turned_off_nothing_is_opened(here):
    """With WEB=off the face says so, and its life does nothing."""
    async with here.scheduler() as engine:
        face = web_face(engine.settings, {})
        await face.start(engine)
        assert ("off: WEB is off", None) == (face.state(), engine.web_address)
        await face.leave()
        await face.stop()


def test_the_door_loads_nothing_by_itself():
    """A program that has the door, but does not open it, never imports the web's libraries."""
    code = "import sys, web.door; print({'fastapi', 'uvicorn', 'starlette'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "set()" == loaded.stdout.strip()
