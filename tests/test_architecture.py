"""The shape of the tree: who may import whom, and how large things may grow."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import pipelines

ROOT = Path(__file__).parent.parent
ENGINE = ROOT / "pipelines"
BOT = ROOT / "bot"
WEB = ROOT / "web"
DOORS = (BOT / "door.py", WEB / "door.py")

ORDER = [
    "errors",
    "elapsed",
    "cancellation",
    "interpreter",
    "collector",
    "wording",
    "finding",
    "model",
    "settings",
    "log",
    "redaction",
    "transform",
    "transforms",
    "triggers",
    "yaml_values",
    "yaml_text",
    "yaml_blocks",
    "json_text",
    "variables",
    "keywords",
    "fields",
    "field_lists",
    "schedule_definition",
    "job_config",
    "job_definition",
    "parameters",
    "policy",
    "face_definition",
    "watch_definition",
    "keep_definition",
    "retry_definition",
    "definition",
    "file_schema",
    "phrases",
    "faults",
    "file_problems",
    "contracts",
    "references",
    "callables",
    "registry",
    "pipeline",
    "stage_checks",
    "schedule_checks",
    "pipeline_reading",
    "job_reading",
    "job_files",
    "loader",
    "catalog",
    "loading",
    "changes",
    "plugin_modules",
    "watching",
    "code_versions",
    "store",
    "locks",
    "leadership",
    "tokens",
    "tracebacks",
    "chain",
    "execution",
    "channels",
    "remedies",
    "gathering",
    "delivery",
    "retry",
    "misfire",
    "live_run",
    "runner",
    "leases",
    "worker",
    "waiting",
    "cancels",
    "scheduled",
    "timetable",
    "job_names",
    "job_times",
    "jobs",
    "pauses",
    "overview",
    "reads",
    "endings",
    "reports",
    "notifications",
    "alert_facts",
    "digest",
    "expectations",
    "alerts",
    "questions",
    "notices",
    "messages",
    "retention",
    "backup",
    "signals",
    "news",
    "following",
    "progress",
    "reload",
    "health",
    "serving",
    "presence",
    "sweeping",
    "heartbeat",
    "vitals",
    "systemd",
    "tasks",
    "work",
    "membership",
    "stopping",
    "distributed",
    "in_force",
    "leading",
    "clockwork",
    "elsewhere",
    "wiring",
    "engine",
    "asking",
    "verbs",
    "faces",
    "schedule",
    "wishes",
    "inventory",
    "hosting",
    "hosted",
    "job_making",
    "scheduler",
    "terminal",
    "service",
    "cli",
    "testing",
    "__main__",
]
"""A module may import only from those before it, and from its own package."""

BOT_ORDER = [
    "lengths",
    "safe_text",
    "texts",
    "component_limits",
    "limits",
    "job_text",
    "matching",
    "addresses",
    "refusals",
    "permissions",
    "guilds",
    "rest",
    "drafts",
    "destination",
    "discord_channel",
    "webhook_channel",
    "rows",
    "tables",
    "templates",
    "packing",
    "rendering",
    "gathered",
    "files",
    "written_to",
    "posts",
    "sink",
    "alert_parts",
    "digest_message",
    "alert_message",
    "question_message",
    "reload_message",
    "doctor",
    "library_log",
    "identifies",
    "supervisor",
    "registration",
    "errors",
    "asking",
    "moments",
    "job_keys",
    "job_plan",
    "offers",
    "resolve",
    "pressing",
    "tree",
    "client",
    "pages",
    "parameter_form",
    "starting",
    "plugin_commands",
    "commands.logs",
    "commands.run",
    "commands.cancel",
    "commands.history",
    "commands.missed",
    "commands.pause",
    "commands.jobs",
    "commands.remove",
    "commands.schedule",
    "commands.pipelines",
    "commands.status",
    "commands.whoami",
    "commands.alert_buttons",
    "commands.makeup_buttons",
    "card_pace",
    "doubles",
    "followed",
    "card",
    "card_end",
    "card_facts",
    "card_on_token",
    "card_search",
    "card_keeper",
    "composition",
    "face",
    "door",
    "registering",
    "__main__",
]
"""The bot's own order. That of its imports at run time: to name a type, such as the client, any may be imported."""

WEB_ORDER = [
    "hosts",
    "refusals",
    "attempts",
    "sessions",
    "access",
    "forms",
    "problems",
    "guard",
    "release",
    "examples",
    "values",
    "service_values",
    "machine_values",
    "events",
    "changes",
    "asking",
    "listing",
    "api.pipelines",
    "api.runs",
    "api.schedules",
    "api.matters",
    "api.machines",
    "api.service",
    "api.routes",
    "description",
    "docs_page",
    "tallies",
    "machine_families",
    "families",
    "metrics",
    "words",
    "pictures",
    "week",
    "pages.frame",
    "pages.deeds",
    "pages.signing",
    "pages.questions",
    "pages.overview",
    "pages.pipelines",
    "pages.schedules",
    "pages.mutes",
    "pages.pipeline",
    "pages.runs",
    "pages.run",
    "pages.calendar",
    "pages.reloading",
    "pages.records",
    "pages.machines",
    "pages",
    "app",
    "server",
    "face",
    "door",
]
"""The web's own order, as that of the bot."""

BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)
"""Where statements may stand."""
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60


def modules() -> list[Path]:
    return sorted(ENGINE.rglob("*.py"))


def bot_modules() -> list[Path]:
    return sorted(path for path in BOT.rglob("*.py") if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def web_modules() -> list[Path]:
    kept = {WEB / "pages" / "__init__.py"}  # it puts the pages together
    return sorted(path for path in WEB.rglob("*.py") if path.name != "__init__.py" or path in kept)


def noun(path: Path) -> str:
    return path.relative_to(ENGINE).parts[0].removesuffix(".py")


@dataclass(frozen=True)
class Import:
    """`import name` for each of its names, or `from module import names`; `function` is the one that it stands in."""

    module: str
    names: tuple[str, ...]
    line: int
    function: str | None
    at_run_time: bool

    @property
    def modules(self) -> tuple[str, ...]:
        """The dotted names of the modules."""
        return (self.module,) if self.module else self.names


@dataclass(frozen=True)
class Function:
    """A function, at any depth; `sentence` is its docstring."""

    name: str
    lines: int
    sentence: str | None


@dataclass(frozen=True)
class Source:
    """What the rules ask of a file."""

    lines: int
    imports: tuple[Import, ...]
    functions: tuple[Function, ...]


@cache
def source(path: Path) -> Source:
    """A file as the rules see it; each is parsed once for all of them."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = [*statements(tree.body, None, at_run_time=True)]
    return Source(
        len(text.splitlines()),
        tuple(each for each in found if isinstance(each, Import)),
        tuple(each for each in found if isinstance(each, Function)),
    )


def statements(nodes: Sequence[ast.AST], function: str | None, *, at_run_time: bool) -> Iterator[Import | Function]:
    """The imports and functions below these, at any depth; expressions hold none."""
    for node in nodes:
        inside, run = function, at_run_time
        if isinstance(node, ast.Import):
            yield Import("", tuple(alias.name for alias in node.names), node.lineno, function, at_run_time)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield Import(f"{'.' * node.level}{node.module or ''}", names, node.lineno, function, at_run_time)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = node.name
            yield Function(node.name, (node.end_lineno or 0) - node.lineno + 1, ast.get_docstring(node))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            run = False
        below = [each for each in ast.iter_child_nodes(node) if isinstance(each, BLOCKS)]
        yield from statements(below, inside, at_run_time=run)


def imported(path: Path) -> set[str]:
    """The engine's own modules that this one imports at any depth, type checking included."""
    found: set[str] = set()
    for each in source(path).imports:
        if each.module == "pipelines":
            found |= set(each.names)
        else:
            found |= {name.split(".")[1] for name in each.modules if name.startswith("pipelines.")}
    return found


def for_each(paths: Sequence[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Make one test of a rule that each of these files must keep; all that break it are told."""

    def made(rule: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            broken = {}
            for path in paths:
                try:
                    rule(path)
                except AssertionError as error:
                    broken[str(path.relative_to(ROOT))] = str(error)
            assert {} == broken

        test.__name__, test.__doc__ = rule.__name__, rule.__doc__
        return test

    return made


@for_each(modules())
def test_imports_follow_the_order(path):
    """A module imports only modules that stand before it in the reading order, or in its own package."""
    if path == ENGINE / "__init__.py":
        return
    allowed = set(ORDER[: ORDER.index(noun(path)) + 1])
    assert imported(path) <= allowed


@for_each(modules())
def test_the_engine_knows_no_face(path):
    """The engine never imports the chat, the web, or their libraries."""
    roots = {name.split(".")[0] for each in source(path).imports for name in each.modules}
    assert not roots & {"bot", "web", "discord", "fastapi"}


def bot_noun(path: Path) -> str:
    return ".".join(path.relative_to(BOT).with_suffix("").parts)


def needed(path: Path) -> set[str]:
    """The dotted names that a module imports when it runs; with `from x import y` that is x, or x.y where y is one."""
    found: set[str] = set()
    for each in source(path).imports:
        if each.at_run_time:
            inside = each.module in {"bot", "bot.commands", "web", "web.api", "web.pages"}
            found |= {f"{each.module}.{name}" for name in each.names} if inside else set(each.modules)
    return found


@for_each(bot_modules())
def test_the_bot_follows_its_order(path):
    """A module of the bot imports only modules of the bot that stand before it in the bot's reading order."""
    before = set(BOT_ORDER[: BOT_ORDER.index(bot_noun(path))])
    assert {name.removeprefix("bot.") for name in needed(path) if name.startswith("bot.")} <= before


def web_noun(path: Path) -> str:
    return ".".join(path.relative_to(WEB).with_suffix("").parts).removesuffix(".__init__")


@for_each(web_modules())
def test_the_web_follows_its_order(path):
    """A module of the web imports only modules of the web that stand before it in the web's reading order."""
    before = WEB_ORDER[: WEB_ORDER.index(web_noun(path))]
    found = {name.removeprefix("web.") for name in needed(path) if name.startswith("web.")}
    modules = {name if name in WEB_ORDER else name.rpartition(".")[0] for name in found}
    late = {"face"} if web_noun(path) == "door" else set()
    assert modules <= {*before, *late}


@for_each(bot_modules() + web_modules())
def test_the_bot_and_the_web_use_the_front_door(path):
    """The bot and the web import the engine only as `from pipelines import …`, also where it names types."""
    modules = {name for each in source(path).imports for name in each.modules}
    assert {name for name in modules if name.split(".")[0] == "pipelines"} <= {"pipelines"}


def test_the_orders_name_what_is_there():
    """Each order names every module once, and nothing that is gone."""
    assert sorted(BOT_ORDER) == sorted(map(bot_noun, bot_modules()))
    assert sorted(WEB_ORDER) == sorted(map(web_noun, web_modules()))
    assert sorted(ORDER) == sorted({noun(path) for path in modules()} - {"__init__"})


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*.py")) + sorted((ROOT / "plugins").rglob("*.py")), ids=lambda p: p.name
)
def test_only_the_bot_knows_discord(path):
    """Neither the programs nor the shipped plugins import discord.py."""
    assert not {name for name in needed(path) if name.split(".")[0] == "discord"}


@for_each([p for p in modules() + bot_modules() + web_modules() if p not in DOORS])
def test_nothing_is_imported_late(path):
    """Imports stand at the head of a module; only doors import late: no token, no discord.py; WEB=off, no FastAPI."""
    late = [(each.function, each.line) for each in source(path).imports if each.function]
    assert [] == late


@for_each(modules() + bot_modules() + web_modules())
def test_files_and_functions_stay_small(path):
    """No file is over 300 lines and no function over 60."""
    too_long = [each.name for each in source(path).functions if each.lines > MAX_FUNCTION_LINES]
    assert ([], True) == (too_long, source(path).lines <= MAX_FILE_LINES)


def test_every_public_name_of_the_front_door_exists():
    """`__all__` is true: each name can be imported from the front door."""
    assert len(pipelines.__all__) > 100
    assert [name for name in pipelines.__all__ if getattr(pipelines, name, None) is None] == []


TESTS = sorted(Path(__file__).parent.rglob("test_*.py"))


@for_each(TESTS)
def test_every_test_says_what_it_proves(path):
    """Each test function has a docstring: the sentence that it proves."""
    mute = [each.name for each in source(path).functions if each.name.startswith("test_") and not each.sentence]
    assert [] == mute
