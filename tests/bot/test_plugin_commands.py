"""Commands that a pipeline brings along: guarded, and harmful to nobody but themselves."""

from __future__ import annotations

import textwrap

import pytest

from bot.plugin_commands import payload_faults
from pipelines import ConfigError
from tests.bot.conftest import FETCHER, running

GOOD = """
    class Chat:
        def register(self, bot):
            @bot.tree.command(description="Weigh")
            async def weigh(interaction, what: str = ""):
                await interaction.response.send_message("7 kg", ephemeral=True)

            @weigh.autocomplete("what")
            async def names(interaction, current):
                return [app_commands.Choice(name="secret", value="secret")]

            group = app_commands.Group(name="lab", description="The lab")

            @group.command(name="open", description="Open it")
            async def open_(interaction):
                await interaction.response.send_message("open", ephemeral=True)

            bot.tree.add_command(group)
"""
HEAD = textwrap.dedent(FETCHER) + "\nfrom discord import app_commands\n"


def write(project, *classes, pipelines=("Chat",)):
    """A plugin with these classes; each named one is used by a pipeline of its own."""
    project.plugin("mine", HEAD + "".join(textwrap.dedent(each) for each in classes))
    named = "".join(
        f"  p{place}:\n    chain: [mine.One]\n    discord_commands: mine.{name}\n"
        for place, name in enumerate(pipelines)
    )
    project.write(f"pipelines:\n{named}")


async def said(here, member, name, **options):
    """What a member reads in answer to a command."""
    return (await (await here.fake.command(member, name, **options)).shown()).content


async def test_a_pipelines_commands_are_its_operators(project, fake):
    """Operators may use them; viewers are told what they lack, also in completions, and the denial is audited once."""
    write(project, GOOD)
    async with running(project, fake) as here:
        assert "7 kg" == await said(here, here.olga, "weigh")
        assert "open" == await said(here, here.ann, "lab open")
        completing = await fake.autocomplete(here.vic, "weigh", "what", "s")
        await completing.answered()
        refused = await said(here, here.vic, "lab open")
        allowed = await fake.autocomplete(here.olga, "weigh", "what", "s")
        await allowed.answered()
        audit = await here.bot.reads.audit()
    assert [] == completing.choices
    assert ["secret"] == [choice["name"] for choice in allowed.choices]
    assert "You may not use this command of p0" in refused
    assert "you are viewer" in refused
    assert [False] == [entry.allowed for entry in audit]


@pytest.mark.parametrize(("needs", "who"), [("viewer", ["ann", "olga", "vic"]), ("admin", ["ann"])])
async def test_a_class_may_say_what_it_needs(project, fake, needs, who):
    """`needs` lets viewers in, or keeps all but admins out."""
    write(project, GOOD.replace("class Chat:", f"class Chat:\n        needs = '{needs}'\n"))
    async with running(project, fake) as here:
        answers = {name: await said(here, getattr(here, name), "weigh") for name in ("ann", "olga", "vic")}
    assert who == [name for name, answer in answers.items() if answer == "7 kg"]


BAD = {
    "raises": """
        class Bad:
            def register(self, bot):
                @bot.tree.command(description="Half")
                async def half(interaction):
                    pass
                raise ValueError("broken")
    """,
    "leaves": """
        class Bad:
            def register(self, bot):
                @bot.tree.command(description="Half")
                async def half(interaction):
                    pass
                raise SystemExit(3)
    """,
    "a name that is taken": """
        class Bad:
            def register(self, bot):
                @bot.tree.command(description="Half")
                async def half(interaction):
                    pass
                @bot.tree.command(description="Taken")
                async def status(interaction):
                    pass
    """,
    "too long a description": """
        class Bad:
            def register(self, bot):
                @bot.tree.command(name="half", description="x" * 101)
                async def half(interaction):
                    pass
    """,
    "unknown needs": """
        class Bad:
            needs = "root"
            def register(self, bot):
                @bot.tree.command(name="half", description="Half")
                async def half(interaction):
                    pass
    """,
    "setup raises": """
        class Bad:
            def register(self, bot):
                @bot.tree.command(name="half", description="Half")
                async def half(interaction):
                    pass
            async def setup(self, bot):
                raise ValueError("broken")
    """,
}


@pytest.mark.parametrize("how", BAD)
async def test_a_class_that_fails_loses_its_own_commands_only(project, fake, caplog, how):
    """Whatever a class does wrong, the other commands work, and the log names it."""
    write(project, GOOD, BAD[how], pipelines=("Bad", "Chat"))
    async with running(project, fake) as here:
        names = {command["name"] for command in fake.commands(here.guild)}
        assert "7 kg" == await said(here, here.olga, "weigh")
    assert ["half" in names, "status" in names, "weigh" in names] == [False, True, True]
    assert [True] == [
        "mine.Bad (p0) adds no commands" in record.getMessage()
        for record in caplog.records
        if record.levelname == "ERROR"
    ][-1:]


async def test_a_setup_is_waited_for(project, fake):
    """What a class sets up is there before the first command."""
    setup = """
        async def setup(self, bot):
            bot.ready_made = True
    """
    write(project, GOOD.rstrip() + "\n" + setup)
    async with running(project, fake) as here:
        assert here.bot.ready_made


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("mine.Chta", "has no class of commands 'Chta'; did you mean 'Chat'?"),
        ("mine.One", "needs 'def register(self, bot)'"),
        ("mine.Async", "its register is async"),
        ("mine.Wants", "must need no arguments"),
        ("mine.function", "it is a function, not a class"),
        ("os.system", "is not allowed"),
    ],
)
async def test_a_wrong_class_is_refused_at_load(project, path, told):
    """What is no class of commands is an error of the file, with its line."""
    more = """
    class Async:
        async def register(self, bot): ...

    class Wants:
        def __init__(self, channel): ...
        def register(self, bot): ...

    def function(bot): ...
    """
    write(project, GOOD, more)
    project.write(f"pipelines:\n  p:\n    chain: [mine.One]\n    discord_commands:\n      - {path}\n")
    with pytest.raises(ConfigError) as caught:
        project.catalog()
    (problem,) = caught.value.problems
    assert ("pipelines.p.discord_commands[0]", 5) == (problem.path, problem.line)
    assert told in problem.message


def test_what_discord_refuses_is_found():
    """Descriptions, choices and the sum of all texts are held against Discord's limits, at every depth."""
    many = [{"name": "x", "value": "x"}] * 26
    option = {"type": 3, "name": "o", "description": "d", "choices": many}
    deep = {"name": "g", "description": "d", "options": [{"type": 1, "name": "s", "description": "", "options": []}]}
    big = {"name": "c", "description": "d", "options": [{"name": "o" * 32, "description": "d" * 100}] * 70}
    good = {"name": "c", "description": "d", "options": [{**option, "choices": many[:25]}]}
    counts = [len(list(payload_faults(each))) for each in ({**good, "options": [option]}, deep, big, good)]
    assert [1, 1, 1, 0] == counts
