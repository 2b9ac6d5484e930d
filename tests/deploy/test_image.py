"""The image: what its Dockerfile says holds, and its commands run on nothing but what it copies."""

from __future__ import annotations

import re
import signal
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import pytest
import yaml

from pipelines.settings import Settings
from tests.deploy.image import DEPLOY, Image, command_of, copies, environment, final, instructions
from tests.project import ROOT, until

TOKEN = "a-token-of-the-tests"
PIPELINES = """
pipelines:
  hello:
    schedule: "0 0 1 1 *"
    executor: inline
    chain: [machine.Readings, pipelines.transforms.Log]
"""


@dataclass
class Served:
    """The image's own command, running."""

    image: Image
    process: Popen[bytes]
    output: Path
    address: str

    def get(self, path: str, **headers: str):
        """Ask the web; the answer's status and text."""
        asked = urllib.request.Request(self.address + path, headers=headers)
        try:
            with closing(urllib.request.urlopen(asked, timeout=10)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with closing(error):
                return error.code, error.read().decode()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image laid out in a folder."""
    return Image.built(tmp_path_factory.mktemp("image"))


@contextmanager
def serving(image: Image, **env: str):
    """The image as it starts by itself, with the web on a free port."""
    output = image.root / f"output-{time.monotonic_ns()}.log"
    process = image.start(command_of("CMD"), output, WEB_PORT="0", WEB_TOKEN=TOKEN, LOG_FORMAT="text", **env)
    web = re.compile(r"web: (http://\S+)")
    try:
        until(
            lambda: bool(web.search(output.read_text())) or process.poll() is not None,
            "the image did not serve: {}",
            output.read_text,
        )
        found = web.search(output.read_text())
        assert found, output.read_text()
        until(lambda: "ready; Ctrl-C stops" in output.read_text(), "never ready: {}", output.read_text)
        yield Served(image, process, output, found[1])
    finally:
        process.kill()
        process.wait()


def test_what_is_copied_is_there():
    """Each source of a COPY is in the tree, and is let through to the builder."""
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    every = [
        source
        for name, rest in instructions()
        if name == "COPY" and "--from=" not in rest
        for source in [word for word in rest.split() if not word.startswith("--")][:-1]
    ]
    assert [] == [source for source in every if not (ROOT / source).exists()]
    assert set(every) == let
    assert "*" in ignore


def test_the_image_is_careful():
    """It runs as a user of its own by number, from versions that are named, and is stopped by SIGTERM."""
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert {"python:3.13-slim"} == set(bases)
    assert (["10001:10001"], ["SIGTERM"], ["/data"], ["/data"]) == tuple(
        final(name) for name in ("USER", "STOPSIGNAL", "VOLUME", "WORKDIR")
    )
    installs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert installs
    assert all(part.count("pip install") == part.count("--require-hashes") for part in installs)


def test_what_the_image_sets_are_settings():
    """Each variable of the image is one of Python's, PATH, or a setting."""
    ours = {name for name in environment() if not name.startswith("PYTHON") and name != "PATH"}
    assert ours <= {name.upper() for name in Settings.model_fields}


def pins(name):
    """The packages of a lock file, each with its version and hashes."""
    blocks = re.split(r"(?m)^(?=\S)", (ROOT / name).read_text())
    return {block.partition("==")[0]: block for block in blocks if block.strip()}


def test_the_image_has_what_is_tested():
    """It installs what every installation has, PostgreSQL, workers and Redis: all by the hashes that the tests use."""
    image, plain, tested = map(pins, ("requirements-distributed.lock", "requirements.lock", "requirements-dev.lock"))
    build_only = {"setuptools"}
    more = {"asgiref", "async-timeout", "procrastinate", "psycopg", "psycopg-binary", "psycopg-pool", "redis"}
    assert image.keys() == plain.keys() - build_only | more
    assert {} == {name: block for name, block in image.items() if block.rstrip() != tested[name].rstrip()}


def test_an_installation_without_extras_stays_light():
    """Neither the driver for PostgreSQL nor what workers need is installed by `make run`."""
    assert not pins("requirements.lock").keys() & {"psycopg", "procrastinate", "redis"}


def test_it_serves_by_itself(image):
    """Started with nothing but what it copies, it is ready, its web answers, and its health check ends with 0.

    While pages hold connections for events, SIGTERM ends it with 0, long before its drain is over; then the health
    check ends with 1.
    """
    check = command_of("HEALTHCHECK")
    with serving(image) as served, ExitStack() as stack:
        assert 200 == served.get("/api/scheduler/health")[0]
        assert 401 == served.get("/metrics")[0]
        status, text = served.get("/metrics", authorization=f"Bearer {TOKEN}")
        shipped = yaml.safe_load((ROOT / "pipelines.yml").read_text(encoding="utf-8"))["pipelines"]
        assert 200 == status
        assert f"pipecall_pipelines {float(len(shipped))}" in text.splitlines()
        assert (image.root / "data" / "pipecall.db").is_file()
        well = image.run(check)
        assert 0 == well.returncode, well.stderr
        for _ in range(5):
            asked = urllib.request.Request(served.address + "/api/events", headers={"authorization": f"Bearer {TOKEN}"})
            stream = stack.enter_context(closing(urllib.request.urlopen(asked, timeout=10)))
            assert "text/event-stream" in stream.headers["content-type"]
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert 0 == served.process.wait(60), served.output.read_text()
        assert time.monotonic() - began < 15
    assert 1 == image.run(check).returncode


def test_other_commands_run(image, tmp_path):
    """`docker run IMAGE pipecall run NAME` runs a pipeline to its end, without a service."""
    (tmp_path / "pipelines.yml").write_text(PIPELINES)
    store = f"sqlite:///{tmp_path / 'store.db'}"
    given = {"PIPELINES_CONFIG": str(tmp_path / "pipelines.yml"), "PLUGINS_DIR": "/config/plugins"}
    done = image.run(["pipecall", "run", "hello"], SCHEDULER_DB_URL=store, **given)
    assert 0 == done.returncode, done.stderr
    assert copies()
