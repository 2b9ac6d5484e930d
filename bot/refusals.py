"""Discord's ways to say no, as the faults of a delivery: which status and code means what, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines import Banned, DeliveryFault, Forbidden, Gone, Rejected, Slow, TooBig, Unauthorised, Unsure, Wait

UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
UNKNOWN_WEBHOOK = 10015
SLOW_CODES = frozenset({20028, 20029, 30046})
"""Writes to a channel, writes to a server, edits of old messages."""
TOO_BIG = 40005
MODERATED = frozenset({200000, 200001})
LOCKED = frozenset({50083, 160005})
"""The thread is archived and stays so, or is locked."""
NO_ACCESS = 50001
BAN_S = 600.0
LIMIT_S = 5.0
"""The wait where a rate limit names none."""

REFUSED = (
    "Discord refuses the bot's token. Make a new one (Developer Portal, Bot, Reset Token), put it into DISCORD_TOKEN "
    "and start the service again; the messages wait"
)
MEND_ACCESS = (
    "the bot cannot see this channel. Give its role View Channel there, or invite it to the server; "
    "`python -m bot doctor` names what is missing"
)
MEND_RIGHTS = (
    "the bot may not write in this channel. Give its role Send Messages there, with Embed Links and Attach Files, and "
    "Send Messages in Threads for threads; `python -m bot doctor` names what is missing"
)

MEND_GONE: Mapping[int, str] = {
    UNKNOWN_CHANNEL: "there is no such channel or thread (any more). Put the id of another one into the pipelines file",
    UNKNOWN_WEBHOOK: "there is no such webhook (any more). Make another one, and put its address into the environment",
}


class NoMessage(Gone):
    """The channel is there, the message is not."""


class NoChannel(Gone):
    """The channel or thread is not there."""


class Moderated(Rejected):
    """The server's AutoMod refused the words themselves."""


def fault_of(status: int, code: int, text: str, headers: Mapping[str, str]) -> DeliveryFault:
    """Return what an answer that is no success means for a message.

    `code` and `text` are those of Discord's JSON error; 0 and the page where the answer was no JSON.
    """
    said = _said(status, code, text)
    if code in SLOW_CODES:
        return Slow(said, _seconds(headers, LIMIT_S))
    if status == 429 or (status == 403 and _page(text)):
        return _limited(status, text, headers)
    if status == 401:
        return Unauthorised(REFUSED)
    if status == 403 or code in LOCKED:
        return Forbidden(f"{MEND_ACCESS if code == NO_ACCESS else MEND_RIGHTS} (Discord said: {said})")
    return _of_message(status, code, said)


def _of_message(status: int, code: int, said: str) -> DeliveryFault:
    """Return the fault where neither the token, the rights nor the pace are in the way."""
    kinds: dict[int, type[DeliveryFault]] = {UNKNOWN_CHANNEL: NoChannel, UNKNOWN_MESSAGE: NoMessage, TOO_BIG: TooBig}
    kinds |= dict.fromkeys(MODERATED, Moderated)
    said = f"{MEND_GONE[code]} (Discord said: {said})" if code in MEND_GONE else said
    by_status: dict[int, type[DeliveryFault]] = {404: Gone, 413: TooBig}
    otherwise = Unsure if status >= 500 else Rejected
    return kinds.get(code, by_status.get(status, otherwise))(said)


def _limited(status: int, text: str, headers: Mapping[str, str]) -> DeliveryFault:
    """A limit that Discord's own servers set names `Via`; otherwise it is Cloudflare that refuses this machine."""
    if not headers.get("Via") or _page(text):
        words = f"Discord's gatekeeper refuses this machine for now ({status} without Via): too many refused requests"
        return Banned(words, max(_seconds(headers, BAN_S), BAN_S), everywhere=True)
    everywhere = headers.get("X-RateLimit-Scope") == "global"
    return Wait("Discord asks to wait", _seconds(headers, LIMIT_S), everywhere=everywhere)


def _seconds(headers: Mapping[str, str], otherwise: float) -> float:
    try:
        return max(float(headers.get("Retry-After", otherwise)), 0.0)
    except ValueError:
        return otherwise


def _page(text: str) -> bool:
    return text.lstrip()[:1] == "<"


def _said(status: int, code: int, text: str) -> str:
    words = "" if _page(text) else " ".join(text.split())[:300]
    return f"{status}{f'/{code}' if code else ''} {words}".rstrip()
