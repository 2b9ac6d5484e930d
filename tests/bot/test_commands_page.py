"""The page of commands: it has every command and every option, and no others."""

from __future__ import annotations

import re

from tests.bot.conftest import running
from tests.bot.job_shop import write
from tests.project import ROOT

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^### /(\S+)\n(.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| (yes|no) \|", re.MULTILINE)


async def test_every_command_and_option_is_described(project, fake):
    """Each registered command has its section, each option its row, which says truly whether it is needed."""
    write(project)
    async with running(project, fake) as here:
        registered = {
            command["name"]: {
                option["name"]: "yes" if option.get("required") else "no" for option in command["options"]
            }
            for command in fake.commands(here.guild)
        }
    described = {match[1]: dict(ROW.findall(match[2])) for match in SECTION.finditer(PAGE)}
    assert registered == described


async def test_the_overview_has_every_command():
    """The table at the top leads to each section."""
    leads = re.findall(r"^\| \[`/(\w+)`\]\(#(\w+)\)", PAGE, re.MULTILINE)
    assert sorted(match[1] for match in SECTION.finditer(PAGE)) == sorted(name for name, _ in leads)
    assert all(name == anchor for name, anchor in leads)
