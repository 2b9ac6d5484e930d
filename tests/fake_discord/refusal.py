"""How Discord says no: an HTTP status, a JSON error code, and for forms the path of each mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

REASONS: Mapping[int, tuple[int, str]] = {
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10013: (404, "Unknown User"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    20028: (429, "The write action you are performing on the channel has hit the write rate limit"),
    30034: (429, "Max number of daily application command creates has been reached"),
    30046: (429, "Maximum number of edits to messages older than 1 hour reached"),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    40067: (400, "A tag is required to create a forum post in this channel"),
    50001: (403, "Missing Access"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50013: (403, "Missing Permissions"),
    50027: (401, "Invalid Webhook Token"),
    50033: (400, "Invalid Recipient(s)"),
    50035: (400, "Invalid Form Body"),
    160004: (400, "A thread has already been created for this message"),
    200000: (400, "Message was blocked by automatic moderation"),
}
"""Error code to HTTP status and text (Discord's "Opcodes and Status Codes")."""


class Refusal(Exception):
    """Discord's answer to a request that it will not do.

    Args:
        code: One of `REASONS`, or 0 for a bare 401.
        status: The HTTP status, where the code does not say.
        errors: The nested `errors` of a form.
    """

    def __init__(self, code: int, *, status: int | None = None, errors: Mapping[str, Any] | None = None) -> None:
        known, text = REASONS.get(code, (401, "401: Unauthorized"))
        super().__init__(f"{text} ({code}) {errors or ''}")
        self.status = status or known
        self.body: dict[str, Any] = {"message": text, "code": code}
        if errors:
            self.body["errors"] = dict(errors)


class Mistakes:
    """Collects what is wrong with a form, each under its path."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def add(self, path: Sequence[str | int], text: str, *, code: str = "BASE_TYPE_BAD_LENGTH") -> None:
        """Note one mistake; an empty path means the form as a whole."""
        node = self._found
        for step in path:
            node = node.setdefault(str(step), {})
        node.setdefault("_errors", []).append({"code": code, "message": text})

    def length(self, path: Sequence[str | int], value: Any, low: int, high: int) -> None:
        """Note a text or list (None passes) that is not between `low` and `high` long."""
        if value is not None and not low <= len(value) <= high:
            self.add(path, f"Must be between {low} and {high} in length.")

    def refuse(self) -> None:
        """Raises: Refusal: 50035 with everything noted; returns where nothing was."""
        if self._found:
            raise Refusal(50035, errors=self._found)
