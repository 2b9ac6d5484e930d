"""What holds for all documents and all files: links and pictures are there, nothing knows a machine or a registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.permissions import NEEDED, missing
from pipelines.cli.commands import COMMANDS
from pipelines.cli.program import made
from tests.project import ROOT

PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
IGNORED = [".git", *(ROOT / ".gitignore").read_text(encoding="utf-8").split()]

LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w")
REGISTRY = re.compile(r"https?://[^\s\"']+/(?:simple|packages)/|--(?:extra-)?index-url|--find-links", re.IGNORECASE)
# What is typed or named as `pipecall COMMAND`, up to what ends it: a backtick, a remark, the next command, the line.
PIPECALL = re.compile(r"(?<![\w/.:=-])pipecall ([a-z][a-z-]*)\b(?! pipecall)([^`\n|#>;&]*)")
NO_COMMANDS = {"pipecall"}
"""Words behind the name that are none: `docker exec pipecall pipecall status` names the container first."""
FILE = re.compile(
    r"(?<![\w/.])(?:bot|web|tests|docs|deploy|benchmarks|pipelines)/[\w/.-]+\.(?:py|md|html|yml|yaml|json|png|svg)\b"
)
TO_BE_WRITTEN = {"tests/test_shop.py"}
PERMISSIONS = re.compile(r"^\| ([A-Z][\w ,]+) \| ", re.MULTILINE)


def ours(folder: Path = ROOT) -> Iterator[Path]:
    """The files of the project; what `.gitignore` names is not of it."""
    for path in folder.iterdir():
        inside = path.relative_to(ROOT)
        if any(inside.match(pattern) for pattern in IGNORED):
            continue
        if path.is_dir():
            yield from ours(path)
        else:
            yield path


def links(page: Path) -> list[tuple[Path, str]]:
    """The files that a document leads to, pictures too, with the anchors behind them."""
    text = page.read_text(encoding="utf-8")
    targets = [target for found in LINK.findall(text) for target in found if target and "://" not in target]
    return [
        (page.parent / (path or page.name), anchor) for path, _, anchor in (each.partition("#") for each in targets)
    ]


def anchors(page: Path) -> set[str]:
    """What a link can name in a document: its headings, in small letters, with dashes for spaces."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    """Each relative link of a document leads to a file that is there, and to a heading in it."""
    assert [] == [path for path, _ in links(page) if not path.exists()]
    assert [] == [(path.name, anchor) for path, anchor in links(page) if anchor and anchor not in anchors(path)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_files_that_are_named_exist(page):
    """Each file of the tree that a document names is there; those that it has people write are not."""
    named = set(FILE.findall(page.read_text(encoding="utf-8"))) - TO_BE_WRITTEN
    assert [] == sorted(name for name in named if not (ROOT / name).exists())


def named_commands() -> list[tuple[str, str, str]]:
    """Each `pipecall COMMAND …` inside the code of a document: the document, the command, what is behind it."""
    found = []
    for page in PAGES:
        code = re.findall(
            r"^```(?:\w*)\n(.*?)^```|`([^`\n]+)`", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        for name, rest in PIPECALL.findall("\n".join(block or span for block, span in code)):
            if name not in NO_COMMANDS:
                found.append((page.name, name, rest))
    return found


def options(command: Any) -> set[str]:
    """The options of a command, and of the commands that it has itself."""
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(options(each) for each in getattr(command, "commands", {}).values())) | {"--help"}


def test_each_command_that_is_named_exists():
    """Each `pipecall` command in a document is there, with the options and commands of its own that stand behind it."""
    named = named_commands()
    assert [] == [each for each in named if each[1] not in COMMANDS]
    known = {name: made(name, COMMANDS[name]) for name in {name for _, name, _ in named}}
    wrong = [
        (page, name, option)
        for page, name, rest in named
        for option in re.findall(r"(?<=\s)--?[a-z][\w-]*", rest)
        if option not in options(known[name])
    ]
    assert [] == wrong
    inner = [
        (page, name, rest.split()[0]) for page, name, rest in named if hasattr(known[name], "commands") and rest.strip()
    ]
    assert [] == [each for each in inner if each[2] not in known[each[1]].commands]
    assert len(named) >= 40


def test_pictures_are_small_and_have_words():
    """Each picture is shown on a page, is smaller than 150 KB, and has words for those who cannot see it."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = re.findall(r'<img src="(?:docs/)?([\w-]+\.png)" width="\d+" alt="([^"]{20,})">', text)
    pictures = sorted((ROOT / "docs").glob("*.png"))
    assert {picture.name for picture in pictures} == {name for name, _ in shown}
    assert [] == [picture.name for picture in pictures if picture.stat().st_size >= 150_000]


def test_the_permissions_are_told():
    """The page on rights names each permission that the invitation asks for; the README says how many they are."""
    page = (ROOT / "docs" / "discord.md").read_text(encoding="utf-8")
    told = PERMISSIONS.findall(page.partition("## What it is allowed")[2].partition("\n## ")[0])
    needed = {name.replace("Read Messages", "View Channel").lower() for name in missing(NEEDED & ~NEEDED)}
    assert needed == {name.lower() for cell in told for name in cell.split(", ")}
    assert (7, True) == (len(needed), "seven permissions" in (ROOT / "README.md").read_text(encoding="utf-8"))


def test_no_file_knows_a_machine_or_a_registry():
    """No file of the project holds a path of somebody's machine or the address of a package registry."""
    found = []
    for path in ours():
        text = path.read_text(encoding="utf-8", errors="replace")
        if path != Path(__file__) and (MACHINE_PATH.search(text) or REGISTRY.search(text)):
            found.append(path.relative_to(ROOT).as_posix())
    assert [] == found
