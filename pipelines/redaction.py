"""Keeps secrets out of what is stored and shown: by their values, and by what secrets look like.

Every line that a run logs and every error it ends with goes through one `Redactor` before it leaves the runner. It errs
on the side of hiding: what looks like a password is hidden even if it was none.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote, quote_plus

from pipelines.model import LogLine, Outcome, RunError

HIDDEN = "•••"
SHORTEST = 6
"""Values of fewer characters are too common to be hidden wherever they occur: a region's name, a port."""

SHAPES = re.compile(
    r"""
      (?P<token>   \b[\w-]{23,28}\.[\w-]{6,7}\.[\w-]{27,} )                                   # a Discord bot's token
    | (?P<hook>    discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/ ) [\w-]+
    | (?P<user>    \b[a-zA-Z][\w+.-]*://[^\s/:@]+: ) [^\s/@]+ (?=@)                            # scheme://user:password@
    | (?P<header>  \b(?:Bearer|Basic)\s+ ) [\w.~+/=-]{8,}
    | (?P<key>     \b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{30,}|xox[abprs]-[\w-]{10,}) )           # AWS, GitHub, Slack
    | (?P<pem>     -----BEGIN\ [A-Z ]*PRIVATE\ KEY----- ) .*? (?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | (?P<named>   (?<![a-zA-Z0-9])(?:password|passwd|secret|token|api[_-]?key)["']?\s*[=:]\s*["']? ) [^\s"',;&]{4,}
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
BOT_TOKEN = re.compile(r"(?<![\w.-])(?P<id>[MNO][\w-]{22,27})\.[\w-]{6,7}\.[\w-]{27,}", re.ASCII)
"""A Discord bot's token; `id` is the bot's id in base64."""
TELLING = re.compile(r"(?<![a-zA-Z0-9])(?:password|passwd|secret|token|api[_-]?key)$", re.IGNORECASE)
"""Names whose values are hidden, whatever they look like, from `LEAST` characters on."""
LEAST = 4
BINARY = "base64"
"""What stands under this name is no text."""
WHOLE = frozenset({"token", "key"})
"""Shapes of which nothing is left; of the others, what comes before the secret stays."""


class Redactor:
    """Hides the values of known secrets, and what looks like one, in text for people."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are values such as `${NAME}` stands for; also found URL-quoted, in JSON and in base64."""
        self.secrets: tuple[str, ...] = ()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these as well from now on; nothing is ever unlearnt, as old lines may be shown again."""
        secrets = {*self.secrets, *secrets}
        self.secrets = tuple(sorted({secret for secret in secrets if len(secret) >= SHORTEST}))
        forms = {form for secret in self.secrets for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def text(self, text: str) -> str:
        """Return the text with its secrets hidden."""
        if len(text) < SHORTEST:
            return text
        if self._values is not None:
            text = self._values.sub(HIDDEN, text)
        return SHAPES.sub(_hide, text)

    def line(self, line: LogLine) -> LogLine:
        """Return a log line with its secrets hidden."""
        text = self.text(line.text)
        return line if text == line.text else replace(line, text=text)

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a mapping of JSON values with its secrets hidden, also those that only their name gives away."""
        hidden: dict[str, Any] = self._value("", values)
        return hidden

    def value(self, value: Any) -> Any:
        """Return any value with the secrets hidden in its text, and in that of mappings and lists within it."""
        return self._value("", value)

    def _value(self, key: Any, value: Any) -> Any:
        if isinstance(value, str):
            return HIDDEN if TELLING.search(str(key)) and len(value) >= LEAST else self.text(value)
        if isinstance(value, Mapping):
            return {name: each if name == BINARY else self._value(name, each) for name, each in value.items()}
        return [self._value(key, each) for each in value] if isinstance(value, list) else value

    def error(self, error: RunError) -> RunError:
        """Return an error with the secrets in its message and traceback hidden."""
        traceback = self.text(error.traceback) if error.traceback else error.traceback
        return replace(error, message=self.text(error.message), traceback=traceback)

    def outcome(self, outcome: Outcome) -> Outcome:
        """Return an outcome with the secrets in its error and reason hidden."""
        if outcome.error is None and outcome.reason is None:
            return outcome
        error = self.error(outcome.error) if outcome.error else None
        return replace(outcome, error=error, reason=self.text(outcome.reason) if outcome.reason else outcome.reason)


def bot_tokens(text: str) -> Iterator[int]:
    """Yield where in a text a Discord bot's token begins; a class path that looks like one is none."""
    for match in BOT_TOKEN.finditer(text):
        with suppress(ValueError):
            if base64.b64decode(match["id"] + "=" * (-len(match["id"]) % 4), validate=True).isdigit():
                yield match.start()


def _forms(secret: str) -> set[str]:
    in_base64 = base64.b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], in_base64}


def _hide(match: re.Match[str]) -> str:
    shape = match.lastgroup or ""
    return HIDDEN if shape in WHOLE else f"{match[shape]}{HIDDEN}"
