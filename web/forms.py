"""Forms as browsers send them (`application/x-www-form-urlencoded`), read without any further library."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

FIELDS = 200
"""So many fields at most are read."""


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of fields with one name the last. What is no form is an empty one."""
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        return {}
    return dict(pairs)
