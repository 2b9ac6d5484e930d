"""Discord's official OpenAPI description as the judge of every request and every answer.

The description is not part of this repository. It is looked for in `DISCORD_OPENAPI`, then beside the project in
`../shared/discord/openapi.json`; where it is absent nothing is validated, and `limits` alone refuses.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator, Registry, ValidationError, ValidationErrorKind

from tests.fake_discord.refusal import Mistakes

URN = "urn:discord"
PLACE = Path(__file__).parents[2].parent / "shared" / "discord" / "openapi.json"


def place() -> Path | None:
    """Where the description is, or None where there is none."""
    path = Path(os.environ.get("DISCORD_OPENAPI") or PLACE)
    return path if path.is_file() else None


def load() -> Description | None:
    """The description, read once a process; None where there is none."""
    path = place()
    return None if path is None else _read(path)


@functools.lru_cache(maxsize=1)
def _read(path: Path) -> Description:
    return Description(json.loads(path.read_text(encoding="utf-8")))


class Description:
    """Checks bodies against the description.

    Args:
        document: The whole OpenAPI document, decoded.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = document["paths"]
        self._registry = Registry([(URN, document)])
        self._validators: dict[tuple[str, ...], Draft202012Validator] = {}

    def check_request(self, method: str, route: str, body: Any, *, multipart: bool) -> None:
        """Raises: Refusal: 50035 where the body breaks the description."""
        operation = self._paths.get(route, {}).get(method.lower(), {})
        content = operation.get("requestBody", {}).get("content", {})
        kind = "multipart/form-data" if multipart and "multipart/form-data" in content else "application/json"
        if kind not in content:
            return
        found = plainest(self._validator(method, route, "requestBody", kind=kind).iter_errors(as_strings(body)))
        if found is not None:
            mistakes = Mistakes()
            mistakes.add(found.instance_path, found.message, code=f"SCHEMA_{found.kind.name}")
            mistakes.refuse()

    def fault_of_answer(self, method: str, route: str, status: int, body: Any) -> str | None:
        """What is wrong with an answer of the fake, or None; the description's silence on a status is a fault too."""
        answers = self._paths.get(route, {}).get(method.lower(), {}).get("responses", {})
        if str(status) not in answers:
            return f"{method} {route}: the description knows no answer {status}"
        if "application/json" not in answers[str(status)].get("content", {}):
            return None
        validator = self._validator(method, route, "responses", str(status), kind="application/json")
        found = plainest(validator.iter_errors(body))
        if found is None:
            return None
        at = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in found.instance_path)
        return f"{method} {route} {status}: ${at}: {found.message}"

    def _validator(self, method: str, route: str, *where: str, kind: str) -> Draft202012Validator:
        steps = ("paths", route, method.lower(), *where, "content", kind, "schema")
        if steps not in self._validators:
            pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)
            schema = {"$ref": f"{URN}#/{pointer}".replace("{", "%7B").replace("}", "%7D")}
            self._validators[steps] = Draft202012Validator(schema, registry=self._registry)
        return self._validators[steps]


def plainest(errors: Iterable[ValidationError]) -> ValidationError | None:
    """The mistake nearest to the top; below a choice, that of the branch that was meant, where that is but one."""
    found = min(errors, key=lambda error: len(error.instance_path), default=None)
    if found is None or not isinstance(found.kind, ValidationErrorKind.OneOfNotValid | ValidationErrorKind.AnyOf):
        return found
    meant = [branch for branch in found.kind.context if not any(_is_foreign(error, found) for error in branch)]
    return plainest(meant[0]) if len(meant) == 1 else found


def _is_foreign(error: ValidationError, choice: ValidationError) -> bool:
    """Whether a branch is not the meant one: Discord tells its shapes apart by their `type`, and null by JSON's own."""
    itself = error.instance_path == choice.instance_path
    return error.instance_path == [*choice.instance_path, "type"] or (itself and error.kind.name == "type")


def as_strings(body: Any) -> Any:
    """The body with the snowflakes that discord.py sends as integers (Discord takes both) written as strings."""
    if isinstance(body, list):
        return [as_strings(item) for item in body]
    if not isinstance(body, dict):
        return body
    return {key: _as_string(key, value) for key, value in body.items()}


def _as_string(key: str, value: Any) -> Any:
    if key.endswith("_id") and isinstance(value, int):
        return str(value)
    if key == "attachments" and isinstance(value, list):
        return [item | {"id": str(item["id"])} if "id" in item else item for item in value]
    if key == "allowed_mentions" and isinstance(value, dict):
        lists = {name: [str(one) for one in value[name]] for name in ("users", "roles", "parse") if value.get(name)}
        return value | lists
    return as_strings(value)
