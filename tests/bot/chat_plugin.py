"""A plugin whose commands, buttons, flows and forms all go wrong, in every way there is."""

CODE = """
    import asyncio

    import discord
    from discord import app_commands

    from bot.asking import Answer
    from bot.errors import UserError
    from bot.pressing import Flow, Form, Pressable
    from pipelines import Fetcher, UnknownName

    SECRET = "hunter2-is-in-the-text"


    class One(Fetcher):
        async def fetch(self):
            yield {"n": 1}


    class Boom(Pressable, template=r"p1:boom"):
        def __init__(self):
            super().__init__(discord.ui.Button(label="Boom", custom_id="p1:boom"))

        async def pressed(self, interaction):
            raise ValueError(SECRET)


    class Worse(Pressable, template=r"p1:worse:(?P<number>\\w+)"):
        def __init__(self, number):
            super().__init__(discord.ui.Button(label="Worse", custom_id=f"p1:worse:{number}"))
            int(number)

        async def pressed(self, interaction):
            await interaction.response.send_message("fine", ephemeral=True)


    class Question(Flow):
        @discord.ui.button(label="Yes", custom_id="yes")
        async def yes(self, interaction, button):
            raise ValueError(SECRET)

        @discord.ui.button(label="No", custom_id="no")
        async def no(self, interaction, button):
            await self.close("nothing was done", interaction)


    class Ask(Form, title="Ask"):
        word = discord.ui.Label(text="Word", component=discord.ui.TextInput(custom_id="word"))

        async def on_submit(self, interaction):
            raise ValueError(SECRET)


    def refuse(interaction):
        raise ValueError(SECRET)


    class Chat:
        needs = "viewer"

        def register(self, bot):
            bot.add_dynamic_items(Boom, Worse)
            tree = bot.tree

            @tree.command(description="Raise")
            async def boom(interaction):
                raise ValueError(SECRET)

            @tree.command(description="Raise what people can mend")
            async def mend(interaction):
                raise UserError("That is no number.", "Try `7`.")

            @tree.command(description="Raise what the engine expects")
            async def expected(interaction):
                raise UnknownName("pipeline", "@everyone **prcies**", ["prices"])

            @tree.command(description="Raise in a check")
            @app_commands.check(refuse)
            async def checked(interaction):
                pass

            @tree.command(description="Raise in a completion")
            async def complete(interaction, name: str):
                pass

            @complete.autocomplete("name")
            async def names(interaction, current):
                raise ValueError(SECRET)

            @tree.command(description="Answer, then raise")
            async def late(interaction):
                await interaction.response.send_message("begun", ephemeral=True)
                raise ValueError(SECRET)

            @tree.command(description="Raise after a deferral")
            async def slow(interaction):
                async with Answer(interaction):
                    await interaction.response.defer(ephemeral=True)
                    raise ValueError(SECRET)

            @tree.command(description="Show a button")
            async def buttons(interaction):
                view = discord.ui.View(timeout=None)
                view.add_item(Boom())
                view.add_item(Worse("7"))
                await interaction.response.send_message("press", view=view)

            @tree.command(description="Show a question")
            async def question(interaction, seconds: int = 60):
                async with Answer(interaction) as answer:
                    await answer.send("really?", view=Question(interaction, timeout_s=seconds / 100))

            @tree.command(description="Show a form")
            async def form(interaction):
                await interaction.response.send_modal(Ask())

            @tree.command(description="Take as long as told")
            async def wait(interaction, public: bool = False):
                async with Answer(interaction, ephemeral=not public) as answer:
                    await answer.send("<@1> first", embed=discord.Embed(title="t"))
                    await answer.send("second")

            @tree.command(description="Wait until told")
            async def hold(interaction, public: bool = False):
                async with Answer(interaction, ephemeral=not public) as answer:
                    await bot.go.wait()
                    await answer.send("done at last")

        async def setup(self, bot):
            bot.go = asyncio.Event()
"""

YAML = """
    pipelines:
      prices:
        chain: [chat.One]
        discord_commands: chat.Chat
"""
SECRET = "hunter2-is-in-the-text"


def write(project):
    """Give a project the plugin and a pipelines file that uses it."""
    project.plugin("chat", CODE)
    project.write(YAML)
