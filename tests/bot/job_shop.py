"""A project with pipelines and jobs of every kind, for the tests of jobs in chat."""

from __future__ import annotations

import re

CODE = """
def one(_):
    yield 1

def fail(_):
    raise OSError("no such host")
"""
YAML = """
scheduler:
  timezone: Europe/Stockholm
pipelines:
  prices:
    description: Prices of the shop
    executor: inline
    params:
      region: {type: text, choices: [eu, us], default: eu}
      note: {type: text, longest: 900, default: ""}
    schedule: {daily: "06:30"}
    chain: [mine.one]
  sales:
    executor: inline
    chain: [mine.one]
  broken:
    description: Fails **always**
    executor: inline
    retry: {attempts: 1}
    schedule: {id: broken-nightly, cron: "0 2 * * *"}
    chain: [mine.fail]
  secret:
    executor: inline
    policy:
      viewer: {users: [1]}
      operator: {users: [1]}
    schedule: {id: secret-nightly, cron: "0 3 * * *"}
    chain: [mine.one]
  off:
    enabled: false
    chain: [mine.one]
"""


def write(project, more=""):
    """Write the project, with `more` YAML at its end."""
    project.plugin("mine", CODE)
    project.write(YAML + more)


def many(project, count):
    """A project of so many pipelines with a job each, their names as long as can be."""
    write(project)
    more = "".join(
        f"  {'p_' * 38}{number:03}:\n    executor: inline\n    chain: [mine.one]\n    description: '{'*' * 300}'\n"
        f"    schedule: '{number % 60} 1,2,3 1-7,9 * 1,3,5'\n"
        for number in range(count)
    )
    path = project.folder / "pipelines.yml"
    path.write_text(path.read_text() + more)


async def said(here, member, name, /, **options):
    """What somebody reads after a command."""
    interaction = await here.fake.command(member, name, channel=here.channel, **options)
    return await interaction.shown()


async def pressed(here, member, message, custom_id):
    """Press a button whose id begins with `custom_id`; return what one then reads, the newest message first."""
    found = next(each for each in message.custom_ids if each.startswith(custom_id))
    interaction = await here.fake.press(member, message, found)
    return await interaction.shown()


def labelled(message, label):
    """The id of the button with this label."""
    return next(
        part["custom_id"] for part in walk(message.components) if part.get("label") == label and part.get("custom_id")
    )


def walk(components):
    """Every component, nested ones too."""
    for part in components:
        yield part
        yield from walk(part.get("components", []))
        if "accessory" in part:
            yield part["accessory"]
        if "component" in part:
            yield part["component"]


async def offered(here, member, name, option, typed="", /, **filled):
    """The choices while somebody types, label by value."""
    interaction = await here.fake.autocomplete(member, name, option, typed, channel=here.channel, **filled)
    await interaction.answered()
    return {choice["value"]: choice["name"] for choice in interaction.choices}


async def scheduled(here, member, **options):
    """Make a job and return its public message; the name of the job is in it."""
    given = {"pipeline": "sales", "when": "every day at 05:00"} | options
    question = await said(here, member, "schedule", **given)
    return await pressed(here, member, question, labelled(question, "Confirm"))


def stamps(text):
    """The timestamps in a text, in seconds."""
    return [int(each) for each in re.findall(r"<t:(\d+):[A-Za-z]>", text)]
