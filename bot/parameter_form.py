"""The form for a pipeline's parameters: a field for each, filled with its default or with what was typed before.

Discord shows at most five fields. Of more parameters the first four have one of their own, required ones first, and a
fifth field takes the others as text.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import discord
from discord import ui

from bot.limits import cut, units
from bot.pressing import Form
from bot.safe_text import plain
from pipelines import Parameter, PipelineDefinition, Redactor

if TYPE_CHECKING:
    from bot.client import Pipecall

FIELDS = 5
TITLE = 45
LABEL = 45
DESCRIPTION = 100
RADIO = range(2, 11)
SELECT = 25
LONGEST_INPUT = 4_000
SHORT_INPUT = 200
"""A text that may be longer has a field of several lines."""

_TYPES = {bool: "flag", int: "int", float: "number", str: "text"}

Submitted = Callable[[discord.Interaction["Pipecall"], dict[str, str], str], Coroutine[Any, Any, None]]
"""Gets the texts of the fields by name, and what was written for the other parameters, as `name=value`."""
Field = ui.TextInput[Any] | ui.Select[Any] | ui.RadioGroup[Any]


class ParameterForm(Form):
    """Asks for the parameters of a pipeline and hands on what was typed, as text, without what was left as it was."""

    def __init__(self, definition: PipelineDefinition, typed: Mapping[str, str], submitted: Submitted) -> None:
        """`typed` are texts by name that stand in the fields at first; `submitted` gets what they are in the end."""
        super().__init__(title=cut(f"Run {plain(definition.name)}", TITLE))
        parameters = fields(definition)
        own = parameters if len(parameters) <= FIELDS else parameters[: FIELDS - 1]
        self._fields = {each.name: field(each, typed.get(each.name)) for each in own}
        self._defaults = {each.name: text_of(each.default) for each in own}
        self._submitted = submitted
        for each in own:
            self.add_item(_labelled(each, self._fields[each.name]))
        self._rest: ui.TextInput[Any] | None = None
        if len(own) < len(parameters):
            self._rest = _rest_field(parameters[len(own) :], typed)
            description = "as name=value, such as: limit=10 note='two words'"
            self.add_item(ui.Label(text="Other parameters", description=description, component=self._rest))

    async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
        """Hand on what was typed."""
        typed = {name: text for name, each in self._fields.items() if (text := value_of(each))}
        changed = {name: text for name, text in typed.items() if text != self._defaults[name]}
        await self._submitted(interaction, changed, self._rest.value.strip() if self._rest is not None else "")


def fields(definition: PipelineDefinition) -> list[Parameter]:
    """Return what can be asked for: declared parameters, required ones first, then plain ones of a simple type."""
    declared = definition.parameters
    plain_ones = [
        Parameter(name, _TYPES[type(value)], default=value)
        for name, value in definition.params.items()
        if name not in declared and type(value) in _TYPES
    ]
    return [*sorted(declared.values(), key=lambda each: not each.required), *plain_ones]


def missing(definition: PipelineDefinition, given: Mapping[str, Any]) -> bool:
    """Tell whether a required parameter is not among those given."""
    return any(each.required and name not in given for name, each in definition.parameters.items())


def _open(parameter: Parameter) -> str:
    """Return what a parameter is unless somebody says otherwise; nothing where that is a secret, which then stays."""
    usual = text_of(parameter.default)
    return usual if Redactor().values({parameter.name: usual})[parameter.name] == usual else ""


def field(parameter: Parameter, typed: str | None) -> Field:
    """Return the field for a parameter: a choice where there are few, else a line of text."""
    shown = typed if typed is not None else _open(parameter)
    options = [text_of(each) for each in parameter.choices] if parameter.choices else []
    if parameter.type == "flag" and not options:
        options = ["yes", "no"]
    if not options or len(options) > SELECT or not all(map(_choosable, options)):
        return _text_field(parameter, shown)
    if len(options) in RADIO:
        radio = [discord.RadioGroupOption(label=each, value=each, default=each == shown) for each in options]
        return ui.RadioGroup(options=radio, required=parameter.required)
    select = [discord.SelectOption(label=each, value=each, default=each == shown) for each in options]
    return ui.Select(options=select, required=parameter.required, min_values=int(parameter.required))


def value_of(each: Field) -> str:
    """Return what was filled into a field, without spaces around it."""
    if isinstance(each, ui.Select):
        return each.values[0] if each.values else ""
    return (each.value or "").strip()


def text_of(value: Any) -> str:
    """Return a parameter's value as one types it: `yes` and `no` for flags, nothing for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _choosable(option: str) -> bool:
    """Tell whether Discord takes and shows a choice as it is."""
    return 0 < units(option) <= DESCRIPTION and option == plain(option).strip()


def _labelled(parameter: Parameter, component: Field) -> ui.Label[Any]:
    words = " · ".join(part for part in (plain(parameter.description), plain(parameter.expected)) if part)
    name = " ".join(plain(parameter.name).split()) or "?"
    return ui.Label(text=cut(name, LABEL), description=cut(" ".join(words.split()), DESCRIPTION), component=component)


def _text_field(parameter: Parameter, shown: str) -> ui.TextInput[Any]:
    longest = (
        min(parameter.longest, LONGEST_INPUT) if parameter.type == "text" and not parameter.choices else SHORT_INPUT
    )
    long = parameter.type == "text" and longest > SHORT_INPUT
    return ui.TextInput(
        style=discord.TextStyle.paragraph if long else discord.TextStyle.short,
        default=shown if 0 < units(shown) <= longest else None,
        required=parameter.required,
        max_length=longest,
    )


def _rest_field(parameters: Sequence[Parameter], typed: Mapping[str, str]) -> ui.TextInput[Any]:
    written = " ".join(f"{each.name}={_quoted(typed[each.name])}" for each in parameters if each.name in typed)
    return ui.TextInput(
        style=discord.TextStyle.paragraph,
        default=written if 0 < units(written) <= LONGEST_INPUT else None,
        placeholder=cut(", ".join(plain(each.name) for each in parameters), DESCRIPTION),
        required=any(each.required for each in parameters),
        max_length=LONGEST_INPUT,
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
