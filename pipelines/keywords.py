"""Do these keyword arguments fit this class or function? Signatures and annotations only; nothing is called.

Annotations that JSON values can be held against are: bool, int, float, str, None, Any, lists, mappings, Literal, and
unions of them. Others are left alone: what they accept is their own business.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pipelines.errors import nearest
from pipelines.wording import found, one_of, quoted, suggestion

_KEYWORD_KINDS = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_WORDS: Sequence[tuple[Any, str]] = (
    (str, "text"),
    (int, "a whole number"),
    (float, "a number"),
    (bool, "true or false"),
    (None, "nothing"),
    (type(None), "nothing"),
)


@dataclass(frozen=True, slots=True)
class Keywords:
    """The keyword arguments that something takes: parameters by name, and whether it takes any others as well."""

    parameters: Mapping[str, Parameter]
    open_ended: bool
    item: str | None = None
    """The parameter of a plain function that is given the item; None for classes."""

    def faults(self, kwargs: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
        """Yield keyword (None: the call as a whole) and message for each thing that does not fit.

        A keyword that is missing because it is misspelt is told once, as the misspelling.
        """
        meant = set()
        for name, value in kwargs.items():
            if name in self.parameters:
                yield from _type_faults(name, value, self.parameters[name].annotation)
            elif name == self.item:
                yield name, f"{quoted(name)} is the item itself; leave it out"
            elif not self.open_ended:
                meant.add(nearest(name, list(self.parameters)))
                yield name, f"unknown keyword {quoted(name)}; {suggestion(name, list(self.parameters))}"
        for name, parameter in self.parameters.items():
            if parameter.default is Parameter.empty and name not in kwargs and name not in meant:
                yield None, f"the keyword {quoted(name)} is missing{_expectation(parameter.annotation)}"


def keywords_of(target: Any, *, item_first: bool) -> Keywords | None:
    """Return what `target` takes, or None where Python cannot tell.

    `item_first`: it is a plain function, whose first parameter is the item and no keyword argument.
    """
    signature = _signature(target)
    if signature is None:
        return None
    parameters = list(signature.parameters.values())
    item = parameters.pop(0).name if item_first and parameters else None
    return Keywords(
        parameters={each.name: each for each in parameters if each.kind in _KEYWORD_KINDS},
        open_ended=any(each.kind is Parameter.VAR_KEYWORD for each in parameters),
        item=item,
    )


def _signature(target: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(target, eval_str=True)
    except Exception:  # noqa: BLE001  # annotations are the user's code: evaluating them may raise anything
        return _signature_without_annotations(target)


def _signature_without_annotations(target: Any) -> inspect.Signature | None:
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    unknown = [each.replace(annotation=Parameter.empty) for each in signature.parameters.values()]
    return signature.replace(parameters=unknown)


def _type_faults(name: str, value: Any, hint: Any) -> Iterator[tuple[str, str]]:
    if fits(value, hint):
        return
    close = nearest(value, [str(each) for each in literals(hint)]) if isinstance(value, str) else None
    hint_text = f"; did you mean '{close}'?" if close else ""
    yield name, f"found {found(value)}{_expectation(hint)}{hint_text}"


def _expectation(hint: Any) -> str:
    words = words_for(hint)
    return f"; expected {words}" if words else ""


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a JSON value may be handed to a parameter of this annotation; True where that cannot be known."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return fits(value, args[0])
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in args)
    if origin in (Union, types.UnionType):
        return any(fits(value, each) for each in args)
    kind = origin or hint
    if any(kind is each for each in _LISTS):
        return isinstance(value, list | tuple) and _items_fit(value, args)
    if any(kind is each for each in _MAPPINGS):
        return isinstance(value, Mapping) and (len(args) != 2 or all(fits(each, args[1]) for each in value.values()))
    return _scalar_fits(value, hint)


def _scalar_fits(value: Any, hint: Any) -> bool:
    if hint is None or hint is type(None):
        return value is None
    if hint is bool or hint is str:
        return isinstance(value, hint)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return True


def _items_fit(values: Sequence[Any], args: tuple[Any, ...]) -> bool:
    if len(args) == 1 or (len(args) == 2 and args[1] is Ellipsis):
        return all(fits(each, args[0]) for each in values)
    return not args or (len(args) == len(values) and all(map(fits, values, args)))


def literals(hint: Any) -> list[Any]:
    """Return the values that an annotation's Literals name, inside unions as well."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [value for each in get_args(hint) for value in literals(each)] if get_origin(hint) else []


def words_for(hint: Any) -> str:
    """Say what an annotation accepts, for people; empty where that cannot be known."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return words_for(args[0])
    if origin is Literal:
        return one_of(quoted(each) if isinstance(each, str) else found(each) for each in args)
    if origin in (Union, types.UnionType):
        parts = [words_for(each) for each in args]
        return one_of(dict.fromkeys(parts)) if all(parts) else ""
    return _plain_words(origin or hint, args)


def _plain_words(kind: Any, args: tuple[Any, ...]) -> str:
    if any(kind is each for each in _LISTS):
        inner = words_for(args[0]) if args else ""
        return f"a list, each {inner}" if inner else "a list"
    if any(kind is each for each in _MAPPINGS):
        return "a mapping"
    return next((words for each, words in _WORDS if kind is each), "")


def takes(function: Any, count: int) -> bool:
    """Tell whether a function can be called with `count` positional arguments; True where its signature is unknown."""
    if not inspect.isfunction(function):
        return True
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        return True
    return True
