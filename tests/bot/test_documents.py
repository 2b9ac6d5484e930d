"""What the documents show of the bot is true: CONTRIBUTING's slash command works."""

from __future__ import annotations

import re

from tests.bot.conftest import FETCHER, running
from tests.project import ROOT

COMMAND = re.compile(r"^```python\n(import discord\n.*?)^```", re.DOTALL | re.MULTILINE)
YAML = """
    pipelines:
      prices:
        chain: [shop.One]
        discord_commands: [tea.Tea]
"""


async def test_contributings_command_answers(project, fake):
    """The slash command that CONTRIBUTING shows is registered, and answers with the state of the last run."""
    (code,) = COMMAND.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    project.plugin("shop", FETCHER)
    project.plugin("tea", code)
    project.write(YAML)
    async with running(project, fake) as here:
        (run,) = await here.scheduler.run_now(["prices"])
        await here.scheduler.wait(run.id)
        answer = await (await fake.command(here.vic, "last", pipeline="prices")).shown()
    assert (True, f"#{run.id} succeeded") == (answer.ephemeral, answer.text)
