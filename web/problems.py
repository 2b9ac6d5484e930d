"""What goes wrong, told as RFC 9457 says: `application/problem+json` with type, title, status and detail.

Expected errors keep their own words. An unexpected one gets an id, which is in the log beside the traceback; of the
traceback nothing leaves the house.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from pipelines import (
    AlreadyAsked,
    BadParameter,
    BadSchedule,
    ConfigError,
    Denied,
    InvalidTransition,
    PipecallError,
    StoreError,
    UnknownName,
)
from web.refusals import Refused

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
BUSY_S = 5
"""So soon, in seconds, it may be tried again where the store refused."""
_STATUSES: tuple[tuple[type[PipecallError], int, str], ...] = (
    (UnknownName, 404, "Not there"),
    (Denied, 403, "Not allowed"),
    (BadParameter, 422, "Wrong parameters"),
    (BadSchedule, 422, "Wrong schedule"),
    (ConfigError, 422, "Wrong pipelines file"),
    (InvalidTransition, 409, "Not as things stand"),
    (AlreadyAsked, 409, "Asked before"),
    (StoreError, 503, "Store out of reach"),
)
_TITLES = {404: "Not there", 405: "Not so", 400: "Bad request"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong, for whichever kind of answer. `more` are further members of the problem."""

    status: int
    title: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> JSONResponse:
        """Return the answer."""
        body = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail, **self.more}
        return JSONResponse(body, self.status, headers=dict(self.headers), media_type=MEDIA_TYPE)


def trouble_of(error: Exception) -> Trouble:
    """Return what to tell people about an error; one that nobody expected is logged here, with the id they are told."""
    if isinstance(error, Refused):
        return Trouble(error.status, error.title, error.detail, error.headers)
    if isinstance(error, PipecallError):
        return _of_pipecall(error)
    if isinstance(error, RequestValidationError):
        return _of_input(error)
    if isinstance(error, HTTPException):
        title = _TITLES.get(error.status_code, "Error")
        return Trouble(error.status_code, title, str(error.detail), error.headers or {})
    number = secrets.token_hex(6)
    logger.error("web: unexpected error %s", number, exc_info=error)
    detail = f"something went wrong here; the log tells more under {number}"
    return Trouble(500, "Unexpected error", detail, more={"error_id": number})


def _of_pipecall(error: PipecallError) -> Trouble:
    status, title = next(
        ((status, title) for kind, status, title in _STATUSES if isinstance(error, kind)), (409, "Not done")
    )
    headers = {"Retry-After": str(BUSY_S)} if status == 503 else {}
    return Trouble(status, title, str(error), headers, _more(error))


def _more(error: PipecallError) -> dict[str, Any]:
    if isinstance(error, Denied):
        return {"missing": error.missing}
    if isinstance(error, UnknownName):
        return {"nearest": error.nearest}
    if isinstance(error, AlreadyAsked):
        return {"run": error.run_id}
    if isinstance(error, BadParameter | ConfigError):
        return {"problems": [str(each) for each in error.problems]}
    return {}


def _of_input(error: RequestValidationError) -> Trouble:
    faults = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
    return Trouble(422, "Wrong input", "; ".join(faults), more={"problems": faults})
