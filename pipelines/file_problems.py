"""Gathers what is wrong with one file, each with its line, and reads its sections by their models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipelines.errors import Problem
from pipelines.faults import faults
from pipelines.redaction import bot_tokens
from pipelines.yaml_text import Document
from pipelines.yaml_values import KeyPath

Model = TypeVar("Model", bound=BaseModel)

LITERAL = (
    "a Discord bot's token stands here; put it into .env as DISCORD_TOKEN=… instead, and reset it in the Developer "
    "Portal if others can have read this file"
)


class FileProblems:
    """The problems and warnings of one reading of one file, in the order in which they were found."""

    def __init__(self, document: Document, file: str) -> None:
        """Begin with the problems of the text itself; `file` is the name that problems carry."""
        self._document = document
        self.file = file
        self.problems: list[Problem] = list(document.problems)
        self.warnings: list[Problem] = []

    def tell(self, path: KeyPath, message: str) -> None:
        """Note a problem of the value at `path`."""
        self.problems.append(self.place(path, message))

    def warn(self, path: KeyPath, message: str) -> None:
        """Note what people should know of the value at `path`."""
        self.warnings.append(self.place(path, message))

    def place(self, path: KeyPath, message: str) -> Problem:
        """Return the problem with its line, without noting it."""
        return replace(self._document.problem(path, message), file=self.file)

    def tell_tokens(self, text: str) -> None:
        """Note each token of a Discord bot in the file's text."""
        for place in bot_tokens(text):
            line = text.count("\n", 0, place) + 1
            self.problems.append(Problem(LITERAL, file=self.file, line=line))

    def read(self, model: type[Model], raw: Any, path: KeyPath) -> Model | None:
        """Return the section at `path`, or None where it is wrong, which is noted."""
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            for way, message in faults(error, model):
                self.tell((*path, *way), message)
            return None


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems in the order of their lines."""
    return sorted(problems, key=lambda problem: problem.line or 0)
