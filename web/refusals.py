"""Why a request is refused before anything is looked at: the errors of access, each with its status."""

from __future__ import annotations

from collections.abc import Mapping


class Refused(Exception):
    """A request that is not taken. `status` is that of HTTP, `title` a few words, `detail` what to do about it."""

    status = 400
    title = "Bad request"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        """Say why; `headers` go into the answer."""
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})


class SignInNeeded(Refused):
    """Nobody said who they are, or said it wrongly."""

    status = 401
    title = "Sign in"

    def __init__(self, detail: str) -> None:
        """Say why, and how one signs in."""
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="pipecall"'})


class NotFromHere(Refused):
    """A change that a page of another site asked for, or a form that is not of this session."""

    status = 403
    title = "Not from here"


class Misdirected(Refused):
    """A request for a host that this service does not go by."""

    status = 421
    title = "Misdirected request"


class TooOften(Refused):
    """Too many wrong tokens from one address."""

    status = 429
    title = "Too many attempts"

    def __init__(self, wait_s: float) -> None:
        """Say when it may be tried again, in seconds."""
        seconds = max(1, int(wait_s) + 1)
        super().__init__(
            f"too many wrong tokens from your address; try again in {seconds} s", headers={"Retry-After": str(seconds)}
        )


class TooBig(Refused):
    """A body that is larger than anything that is asked for here."""

    status = 413
    title = "Too big"


class TooSlow(Refused):
    """A body that did not arrive in time."""

    status = 408
    title = "Too slow"


class Leaving(Refused):
    """The service is about to stop."""

    status = 503
    title = "Stopping"

    def __init__(self) -> None:
        """Say when to come back."""
        super().__init__("the service is stopping; ask again when it runs", headers={"Retry-After": "10"})
