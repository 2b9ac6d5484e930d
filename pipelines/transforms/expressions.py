"""A safe expression over one item, such as `price < 20 and contains(lower(name), "lamp")`.

The evaluator is simpleeval, cut down to what is listed here: nothing else of Python can be named, and a dot reads a
key of a dict, never an attribute of an object. The stage that uses it is `steps.Filter`.

None stands for "not known", as in SQL: a missing field is None, arithmetic and functions of None give None, and a
comparison by order or `in` with None is False.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from simpleeval import InvalidExpression, SimpleEval, safe_add, safe_mult

from pipelines.errors import nearest
from pipelines.transforms.values import shortened


def _of_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` made to answer None when one of its arguments is None."""

    def checked(value: Any, *more: Any) -> Any:
        return None if value is None or None in more else function(value, *more)

    return checked


def _of_two(function: Callable[[Any, Any], Any], unknown: bool | None) -> Callable[[Any, Any], Any]:
    """Return `function` made to answer `unknown` when one of its two arguments is None."""

    def checked(left: Any, right: Any) -> Any:
        return unknown if left is None or right is None else function(left, right)

    return checked


def _remainder(left: Any, right: Any) -> Any:
    if isinstance(left, str | bytes):  # % on text is formatting, which can be told to fill the memory
        raise TypeError("% takes numbers")
    return left % right


FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "abs": _of_one(abs),
        "contains": _of_two(lambda whole, part: part in whole, unknown=False),
        "endswith": _of_two(lambda text, end: text.endswith(end), unknown=False),
        "float": _of_one(float),
        "int": _of_one(int),
        "len": _of_one(len),
        "lower": _of_one(lambda text: text.lower()),
        "max": _of_one(max),
        "min": _of_one(min),
        "round": _of_one(round),
        "startswith": _of_two(lambda text, start: text.startswith(start), unknown=False),
        "str": _of_one(str),
        "strip": _of_one(lambda text: text.strip()),
        "upper": _of_one(lambda text: text.upper()),
    }
)

OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = MappingProxyType(
    {
        ast.Add: _of_two(safe_add, unknown=None),
        ast.Sub: _of_two(operator.sub, unknown=None),
        ast.Mult: _of_two(safe_mult, unknown=None),
        ast.Div: _of_two(operator.truediv, unknown=None),
        ast.FloorDiv: _of_two(operator.floordiv, unknown=None),
        ast.Mod: _of_two(_remainder, unknown=None),
        ast.USub: _of_one(operator.neg),
        ast.UAdd: _of_one(operator.pos),
        ast.Not: operator.not_,
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: _of_two(operator.lt, unknown=False),
        ast.LtE: _of_two(operator.le, unknown=False),
        ast.Gt: _of_two(operator.gt, unknown=False),
        ast.GtE: _of_two(operator.ge, unknown=False),
        ast.In: _of_two(lambda member, whole: member in whole, unknown=False),
        ast.NotIn: _of_two(lambda member, whole: member not in whole, unknown=False),
        ast.Is: operator.is_,
        ast.IsNot: operator.is_not,
    }
)

KEPT = (ast.Expr, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.Constant, ast.Slice)
"""What simpleeval evaluates as it is; names, subscripts, dots, lists and tuples are ours, all else is refused."""

FAILURES = (ArithmeticError, AttributeError, InvalidExpression, LookupError, TypeError, ValueError)
"""What evaluating an allowed expression on unexpected data may raise."""

_SILENT: tuple[type[ast.AST], ...] = (ast.Load, ast.And, ast.Or, *OPERATORS)
_OURS = (ast.Name, ast.Subscript, ast.Attribute, ast.List, ast.Tuple)


class Expression:
    """One expression, checked when it is made and evaluated per item.

    Names are the item's fields; `item` is the whole item and `params` the run's parameters, whatever fields the item
    has. `a.b` and `a["b"]` read a key of a dict, `a[0]` an element of a list; what is not there is None.
    """

    def __init__(self, text: str, *, argument: str) -> None:
        """Read the expression given as keyword argument `argument`.

        Raises:
            ValueError: it is not an expression, or uses what is not allowed; the text names it.
        """
        self.text = text
        self._argument = argument
        self._tree = self._parsed(text)
        for node in ast.walk(self._tree):
            self._check(node)
        names = {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name)}
        self.needs_params = "params" in names
        self._item: Any = None
        self._params: Mapping[str, Any] = {}
        self._evaluator = self._cut_down()

    def bind(self, params: Mapping[str, Any]) -> None:
        """Set what `params` stands for."""
        self._params = params

    def __call__(self, item: Any) -> Any:
        """Return the expression's value for one item.

        Raises:
            ValueError: it cannot be evaluated; the text names expression, reason and item.
        """
        self._item = item
        try:
            return self._evaluator.eval(self.text, self._tree)
        except FAILURES as error:
            reason = f"{type(error).__name__}: {error}"
            hint = "; text becomes a number by float(…)" if isinstance(error, TypeError) else ""
            raise ValueError(
                f"{self._argument}: {self.text!r} failed with {reason}{hint}; the item is {shortened(item)}"
            ) from error

    def _parsed(self, text: str) -> ast.Expr:
        try:
            return ast.Expr(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, ValueError, AttributeError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else error
            raise ValueError(
                f"{self._argument}: {text!r} is not an expression: {reason}; expected for example 'price < 20'"
            ) from None

    def _check(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self._check_call(node)
        elif not isinstance(node, KEPT + _OURS + _SILENT):
            self._refuse(type(node).__name__)
        elif isinstance(node, ast.Attribute) and node.attr.startswith("__"):
            self._refuse(f".{node.attr}")

    def _check_call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            name = node.func.attr
            self._refuse(f".{name}(…)", f"; write {name}(…)" if name in FUNCTIONS else "")
        if not isinstance(node.func, ast.Name) or node.keywords:
            self._refuse("a call other than name(value, …)")
        elif node.func.id not in FUNCTIONS:
            near = nearest(node.func.id, list(FUNCTIONS))
            hint = f"; did you mean {near}?" if near else ""
            self._refuse(f"{node.func.id}(…)", f"{hint}; functions are {', '.join(FUNCTIONS)}")

    def _refuse(self, what: str, hint: str = "") -> None:
        raise ValueError(f"{self._argument}: {self.text!r} uses {what}, which is not allowed{hint}")

    def _cut_down(self) -> Any:
        evaluator = SimpleEval(operators=OPERATORS, functions=FUNCTIONS, names={})
        ours = {
            ast.Name: self._name,
            ast.Subscript: self._subscript,
            ast.Attribute: self._attribute,
            ast.List: self._list,
            ast.Tuple: self._list,
        }
        evaluator.nodes = {kind: evaluator.nodes[kind] for kind in KEPT} | ours
        return evaluator

    def _value(self, node: ast.AST) -> Any:
        return self._evaluator.nodes[type(node)](node)

    def _name(self, node: ast.Name) -> Any:
        if node.id == "item":
            return self._item
        if node.id == "params":
            return self._params
        return self._item.get(node.id) if isinstance(self._item, Mapping) else None

    def _attribute(self, node: ast.Attribute) -> Any:
        owner = self._value(node.value)
        return owner.get(node.attr) if isinstance(owner, Mapping) else None

    def _subscript(self, node: ast.Subscript) -> Any:
        owner, key = self._value(node.value), self._value(node.slice)
        if isinstance(owner, Mapping):
            return owner.get(key)
        if not isinstance(owner, Sequence) or key is None:
            return None
        try:
            return owner[key]
        except IndexError:
            return None

    def _list(self, node: ast.List | ast.Tuple) -> list[Any]:
        return [self._value(element) for element in node.elts]
