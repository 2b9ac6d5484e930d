"""The form for parameters: what each looks like, and that Discord takes it, whatever a pipeline declares."""

from __future__ import annotations

import json

from discord import ui
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.parameter_form import ParameterForm, field, fields, missing, text_of
from pipelines import Parameter, PipelineDefinition
from tests.bot.hostile import TEXTS
from tests.fake_discord.command_limits import check_modal


def definition(**params):
    return PipelineDefinition.model_validate({"name": "prices", "chain": ["mine.One"], "params": params})


async def submitted(interaction, texts, others):
    """What a form hands on; nothing here."""


def test_required_ones_come_first():
    """Required parameters come first, then the others as declared, then plain ones of a simple type."""
    made = definition(
        region="eu", hidden={"a": 1}, late={"type": "int", "default": 3}, who={"type": "text"}, on={"type": "flag"}
    )
    assert ["who", "on", "late", "region"] == [each.name for each in fields(made)]
    assert missing(made, {"who": "me"})
    assert not missing(made, {"who": "me", "on": "yes"})


def test_what_a_field_is():
    """Few choices and flags are buttons, more are a list, many a line of text; long texts have several lines."""
    choices = {count: tuple(f"c{number}" for number in range(count)) for count in (1, 2, 10, 11, 25, 26)}
    kinds = [type(field(Parameter("p", "text", choices=each), None)) for each in choices.values()]
    assert [ui.Select, ui.RadioGroup, ui.RadioGroup, ui.Select, ui.Select, ui.TextInput] == kinds
    assert isinstance(field(Parameter("p", "flag", default=True), None), ui.RadioGroup)
    assert 20 == field(Parameter("p", "text", longest=20), None).max_length


def test_what_stands_in_a_field():
    """A field holds its default until something was typed; flags are yes and no."""
    parameter = Parameter("p", "int", default=7)
    assert ["7", "99"] == [field(parameter, typed).default for typed in (None, "99")]
    assert ["yes", "no", "", "1.5"] == [text_of(value) for value in (True, False, None, 1.5)]


CHOICES = st.lists(TEXTS.map(str), max_size=30, unique=True).map(tuple)


@given(
    st.lists(
        st.builds(
            Parameter,
            name=TEXTS,
            type=st.sampled_from(["text", "int", "flag", "date", "duration"]),
            default=st.none() | TEXTS | st.integers() | st.booleans() | st.just("x" * 9_000),
            required=st.booleans(),
            choices=CHOICES,
            longest=st.integers(1, 4_000),
            description=TEXTS | st.just("d" * 2_000),
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda each: each.name,
    ),
    TEXTS,
    TEXTS,
)
@settings(max_examples=25)
def test_any_declarations_fit_a_form(parameters, title, typed):
    """Whatever is declared, and whatever was typed before: Discord takes the form."""

    class Declared:
        name = title
        params = {}  # noqa: RUF012 -- never changed

    Declared.parameters = {each.name: each for each in parameters}
    form = ParameterForm(Declared, {each.name: typed for each in parameters}, submitted)
    check_modal(form.to_dict())


def test_a_secret_default_is_not_shown():
    """A field whose name gives a secret away is empty, others hold their default; left empty, nothing is changed."""

    class Declared:
        name = "sync"
        params = {"password": "correct horse", "region": "north"}  # noqa: RUF012 -- never changed
        parameters = {}  # noqa: RUF012 -- as above

    shown = json.dumps(ParameterForm(Declared, {}, submitted).to_dict())
    assert (False, True) == ("correct horse" in shown, "north" in shown)
