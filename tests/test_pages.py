"""What holds for all documents and all files: links and pictures are there, nothing knows a machine or a registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.permissions import NEEDED, missing
from tests.project import ROOT

PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
IGNORED = [".git", *(ROOT / ".gitignore").read_text(encoding="utf-8").split()]

LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w")
REGISTRY = re.compile(r"https?://[^\s\"']+/(?:simple|packages)/|--(?:extra-)?index-url|--find-links", re.IGNORECASE)
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


def test_pictures_are_small_and_have_words():
    """Each picture of the bot is shown on a page, is smaller than 150 KB, and has words for those who cannot see it."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = re.findall(r'<img src="(?:docs/)?([\w-]+\.png)" width="\d+" alt="([^"]{20,})">', text)
    pictures = sorted((ROOT / "docs").glob("discord-*.png"))
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
