"""Compose, systemd and Kubernetes: what their files name exists, and what must hold for a clean and safe life does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from pipelines.settings import Settings
from tests.deploy.image import DEPLOY, Image, environment
from tests.project import ROOT

SETTINGS = {name.upper(): field for name, field in Settings.model_fields.items()}
DRAIN_S = Settings.model_fields["scheduler_drain_s"].default
AFTERWARDS_S = 15
"""So long, in seconds, cancelled runs and messages may take after the drain."""
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANY = yaml.safe_load((DEPLOY / "compose-many.yaml").read_text())
UNIT = (DEPLOY / "pipecall.service").read_text()
KUBERNETES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))}


def options(name: str) -> list[str]:
    """The values of an option of the unit, in their order."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def pod(name: str) -> dict:
    """The pod that a Deployment or CronJob makes."""
    spec = KUBERNETES[name]["spec"]
    return (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]["spec"]


def container(name: str) -> dict:
    (only,) = pod(name)["containers"]
    return only


CONTAINER = container("workers")

# ------------------------------------------------------------------ compose


def test_compose_sets_what_is_a_setting():
    """Each variable of the service is a setting, and a fixed value is a valid one."""
    given = COMPOSE["services"]["pipecall"]["environment"]
    assert given.keys() <= SETTINGS.keys()
    fixed = {name.lower(): value for name, value in given.items() if "${" not in value}
    assert "0.0.0.0" == Settings(_env_file=None, **fixed).web_host


def test_compose_keeps_secrets_in_files():
    """Tokens are files that exist as secrets, the web is reached from this machine alone, no version is left open."""
    service, database = COMPOSE["services"]["pipecall"], COMPOSE["services"]["db"]
    files = [value for name, value in service["environment"].items() if name.endswith("_TOKEN_FILE")]
    assert sorted(f"/run/secrets/{name}" for name in service["secrets"]) == sorted(files)
    assert {*service["secrets"], *database["secrets"]} == COMPOSE["secrets"].keys()
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    tags = [each["image"].rpartition(":")[2] for each in (service, database)]
    assert [] == [tag for tag in tags if not re.match(r"\d", tag)]
    assert not {"DISCORD_TOKEN", "WEB_TOKEN"} & service["environment"].keys()


def test_compose_waits_for_a_clean_stop():
    """The service gets longer to stop than it needs, starts after a healthy database, and again after a crash."""
    service = COMPOSE["services"]["pipecall"]
    assert int(service["stop_grace_period"].removesuffix("s")) >= DRAIN_S + AFTERWARDS_S
    assert {"db": {"condition": "service_healthy"}} == service["depends_on"]
    assert "healthcheck" in COMPOSE["services"]["db"]
    assert {"unless-stopped"} == {each["restart"] for each in COMPOSE["services"].values()}
    assert (ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_many_share_a_database_and_what_runs():
    """Schedulers and workers have one image, database, executor and set of pipelines, and no setting is unknown."""
    members = {name: each for name, each in MANY["services"].items() if name != "db"}
    assert {"scheduler-1", "scheduler-2", "worker"} == members.keys()
    assert MANY["services"]["db"] == COMPOSE["services"]["db"]
    for each in members.values():
        given = each["environment"]
        assert given.keys() <= SETTINGS.keys()
        assert ("procrastinate", True) == (given["EXECUTOR"], "@db:5432/" in given["SCHEDULER_DB_URL"])
        assert COMPOSE["services"]["pipecall"]["image"] == each["image"]
        assert ["./config:/config:ro", "data:/data"] == each["volumes"]
        assert int(each["stop_grace_period"].removesuffix("s")) >= DRAIN_S + AFTERWARDS_S
        assert {"db": {"condition": "service_healthy"}} == each["depends_on"]
        assert (True, ["ALL"], "unless-stopped") == (each["read_only"], each["cap_drop"], each["restart"])
        fixed = {name.lower(): value for name, value in given.items() if "${" not in value}
        assert float(DRAIN_S) == float(Settings(_env_file=None, **fixed).scheduler_drain_s)
    assert {"data", "db"} == MANY["volumes"].keys()


def test_many_keep_secrets_in_files():
    """Only schedulers have tokens, each as a file, and their ports are this machine's own, one for each."""
    services = MANY["services"]
    schedulers = [services["scheduler-1"], services["scheduler-2"]]
    for each in schedulers:
        files = [value for name, value in each["environment"].items() if name.endswith("_TOKEN_FILE")]
        assert sorted(f"/run/secrets/{name}" for name in each["secrets"]) == sorted(files)
        port = each["environment"]["WEB_PORT"]
        assert f"http://127.0.0.1:{port}/api/scheduler/health" in each["healthcheck"]["test"][-1]
    assert ["127.0.0.1:8080:8080", "127.0.0.1:8081:8080"] == [port for each in schedulers for port in each["ports"]]
    assert not {"secrets", "ports"} & services["worker"].keys()
    named = {name for each in services.values() for name in each.get("secrets", ())}
    assert named == MANY["secrets"].keys()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image laid out in a folder."""
    return Image.built(tmp_path_factory.mktemp("image"))


def test_workers_commands_are_there(image):
    """The image has the commands, with their options: each refuses to begin only as the test's database is none."""
    for command in (MANY["services"]["worker"]["command"], [*CONTAINER["command"], *CONTAINER["args"]]):
        done = image.run(command, EXECUTOR="procrastinate")
        assert (2, True) == (done.returncode, "EXECUTOR=procrastinate needs PostgreSQL" in done.stderr), done.stderr


# ------------------------------------------------------------------ systemd


def test_the_units_program_is_there():
    """What the unit starts is in the tree, with Python of the environment beside it."""
    (line,) = options("ExecStart")
    python, script = shlex.split(line)
    assert ("/opt/pipecall/.venv/bin/python", True) == (
        python,
        (ROOT / Path(script).relative_to("/opt/pipecall")).is_file(),
    )


def test_the_unit_sets_what_is_a_setting():
    """Each variable that the unit sets is one of Python's or a setting."""
    names = {pair.partition("=")[0] for line in options("Environment") for pair in line.split()}
    assert {name for name in names if not name.startswith("PYTHON")} <= SETTINGS.keys()
    assert ["discord-token"] == [line.partition(":")[0] for line in options("LoadCredential")]
    assert "DISCORD_TOKEN_FILE=%d/discord-token" in options("Environment")


def test_the_unit_waits_and_watches():
    """It is told when the service is ready, watches it, and waits longer for its stop than that needs."""
    assert (["notify"], ["main"], ["on-failure"]) == tuple(
        options(each) for each in ("Type", "NotifyAccess", "Restart")
    )
    assert int(options("TimeoutStopSec")[0]) >= DRAIN_S + AFTERWARDS_S
    assert int(options("WatchdogSec")[0]) >= 30
    assert ["2"] == options("RestartPreventExitStatus")
    assert {"yes", "strict"} == {*options("NoNewPrivileges"), *options("ProtectSystem")}


def test_the_workers_unit_differs_only_in_what_it_starts():
    """It starts a worker of the same tree with the same rights, waits for its drain, and reads settings from a file."""
    worker = (DEPLOY / "pipecall-worker.service").read_text()
    assert UNIT[UNIT.index("CapabilityBoundingSet") :] == worker[worker.index("CapabilityBoundingSet") :]
    for option in ("Type", "NotifyAccess", "WatchdogSec", "TimeoutStartSec"):
        assert options(option) == re.findall(rf"^{option}=(.*)$", worker, re.MULTILINE)
    (line,) = re.findall(r"^ExecStart=(.*)$", worker, re.MULTILINE)
    python, *rest = shlex.split(line)
    assert ("/opt/pipecall/.venv/bin/python", ["-m", "pipelines", "worker"]) == (python, rest)
    (stop_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", worker, re.MULTILINE)
    assert int(stop_s) >= DRAIN_S + AFTERWARDS_S
    pairs = re.findall(r"^Environment=(.*)$", worker, re.MULTILINE)
    names = {pair.partition("=")[0] for line in pairs for pair in line.split()}
    assert {name for name in names if not name.startswith("PYTHON")} <= SETTINGS.keys()
    assert "EXECUTOR=procrastinate" in pairs
    assert "EnvironmentFile=%E/pipecall/environment" in worker.splitlines()


# ------------------------------------------------------------------ Kubernetes


@pytest.mark.parametrize("name", ["deployment", "cronjob", "schedulers", "workers"])
def test_a_pod_may_do_little(name):
    """It runs as the image's user without rights, writes to volumes only, and each volume it mounts is its own."""
    spec, only = pod(name), container(name)
    security = spec["securityContext"]
    assert (True, 10001, 10001) == (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"])
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == only["securityContext"]
    assert {each["name"] for each in only["volumeMounts"]} == {each["name"] for each in spec["volumes"]}
    assert {"/config", "/data", "/tmp"} <= {each["mountPath"] for each in only["volumeMounts"]}
    assert spec["terminationGracePeriodSeconds"] >= DRAIN_S + AFTERWARDS_S
    assert {"requests", "limits"} == only["resources"].keys()


@pytest.mark.parametrize("name", ["deployment", "cronjob", "schedulers", "workers"])
def test_a_pod_sets_what_is_a_setting(name):
    """Each variable of a container is a setting, or one that another is made of."""
    env = {each["name"]: each.get("value", "") for each in container(name)["env"]}
    assert env.keys() - {"POD_IP"} <= SETTINGS.keys()
    assert (name in ("schedulers", "workers")) == (env.get("EXECUTOR") == "procrastinate")


def test_one_service_to_a_store():
    """The Deployment has one pod, and stops the old one before it starts a new one."""
    spec = KUBERNETES["deployment"]["spec"]
    assert (1, "Recreate") == (spec["replicas"], spec["strategy"]["type"])
    labels = spec["template"]["metadata"]["labels"]
    assert labels == spec["selector"]["matchLabels"] == KUBERNETES["service"]["spec"]["selector"]
    assert (
        not labels.items()
        <= KUBERNETES["cronjob"]["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"].items()
    )


def test_several_schedulers_take_the_place_of_one():
    """They go by the same name, behind the same service, on a database that must be there, and no volume is shared."""
    one, several, workers = (KUBERNETES[name] for name in ("deployment", "schedulers", "workers"))
    assert (one["metadata"], one["spec"]["selector"]) == (several["metadata"], several["spec"]["selector"])
    assert min(several["spec"]["replicas"], workers["spec"]["replicas"]) >= 2
    for name in ("schedulers", "workers"):
        (url,) = (each["valueFrom"] for each in container(name)["env"] if each["name"] == "SCHEDULER_DB_URL")
        assert {"secretKeyRef": {"name": "pipecall", "key": "db-url"}} == url
        assert not any("persistentVolumeClaim" in each for each in pod(name)["volumes"])
    labels = workers["spec"]["template"]["metadata"]["labels"]
    assert labels == workers["spec"]["selector"]["matchLabels"]
    assert not KUBERNETES["service"]["spec"]["selector"].items() <= labels.items()


@pytest.mark.parametrize("name", ["deployment", "schedulers"])
def test_probes_ask_for_the_health(name):
    """All probes ask the port that the web listens on, under a name that it answers to."""
    only = container(name)
    env = {each["name"]: each.get("value", "") for each in only["env"]}
    (port,) = only["ports"]
    assert env["WEB_PORT"] == str(port["containerPort"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = only[probe]["httpGet"]
        assert ("/api/scheduler/health", port["name"]) == (asked["path"], asked["port"])
        assert asked["httpHeaders"][0]["value"] in env["WEB_HOSTS"].split(",")


def test_a_job_runs_once():
    """The CronJob never runs beside itself, nor again after a failure: attempts are the pipeline's own."""
    spec = KUBERNETES["cronjob"]["spec"]
    assert ("Forbid", "Never", 0) == (
        spec["concurrencyPolicy"],
        pod("cronjob")["restartPolicy"],
        spec["jobTemplate"]["spec"]["backoffLimit"],
    )


def test_the_jobs_command_runs_what_is_configured(image, tmp_path):
    """The CronJob's command runs the ConfigMap's pipeline, with its stage, in the image, and ends with 0."""
    only = container("cronjob")
    shared = tmp_path / "shared"
    items = next(each for each in pod("cronjob")["volumes"] if each["name"] == "config")["configMap"]["items"]
    assert (
        items == next(each for each in pod("deployment")["volumes"] if each["name"] == "config")["configMap"]["items"]
    )
    for item in items:
        place = shared / item["path"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(KUBERNETES["config"]["data"][item["key"]])
    given = {each["name"]: each["value"] for each in only["env"]} | {"PIPELINES_CONFIG": str(shared / "pipelines.yml")}
    done = image.run([*only["command"], *only["args"]], **given)
    assert (0, True) == (done.returncode, "1 pipeline run, 0 failed" in done.stdout), done.stderr
    assert environment()["PIPELINES_CONFIG"] == "/config/pipelines.yml"
