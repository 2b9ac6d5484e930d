"""Names and addresses: which host a request is for, whether that is this machine, and whether it may be asked by that.

A page of a foreign site can have its own name point at this machine ("DNS rebinding"); its requests then carry that
name in their `Host` header. So only names that are known are answered.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

LOCAL_NAMES = frozenset({"localhost"})


def host_of(header: str) -> str:
    """Return the name in a `Host` header, in lower case and without its port: `[::1]:8080` gives `::1`."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def is_loopback(host: str) -> bool:
    """Say whether a name or address is of this machine alone."""
    plain = host.strip("[]").lower()
    if plain in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return False


class Hosts:
    """The names under which this service may be asked."""

    def __init__(self, listed: str, bound: str) -> None:
        """`listed` are names separated by commas, with or without port; `bound` is the address it listens on."""
        self._known = frozenset(_names(listed.split(",")) | ({bound.strip("[]").lower()} - {"0.0.0.0", "::"}))  # noqa: S104 - left out

    def knows(self, header: str) -> bool:
        """Say whether a request with this `Host` header may be answered."""
        host = host_of(header)
        return is_loopback(host) or host in self._known


def _names(listed: Iterable[str]) -> set[str]:
    return {host_of(each) for each in listed if each.strip()}
