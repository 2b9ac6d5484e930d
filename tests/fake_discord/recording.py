"""What the bot asked for: one record a request, decoded, in the order in which they came."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(eq=False, slots=True)
class File:
    """A file as it was uploaded."""

    filename: str
    content: bytes


@dataclasses.dataclass(eq=False, slots=True)
class Request:
    """One request.

    Attributes:
        method: `POST` and the like.
        route: The template, `/channels/{channel_id}/messages`; "?" where the fake has none.
        path: The path as sent, without `/api/v10`.
        params: The values of the template.
        query: The query string.
        body: The decoded JSON (`payload_json` of a multipart form), or None.
        files: Uploaded files by field name.
        token: The bot token sent, or None.
        at: Seconds since 1970 by the fake's clock.
        status: The status answered; 0 where none was (hung or dropped).
    """

    method: str
    route: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    files: Mapping[str, File]
    token: str | None
    at: float
    multipart: bool = False
    status: int = 0
