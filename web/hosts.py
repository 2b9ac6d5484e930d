"""Names and addresses: which host a request is for, whether that is this machine, and whether it may be asked by that.

A page of a foreign site can have its own name point at this machine ("DNS rebinding"); its requests then carry that
name in their `Host` header. So only names that are known are answered.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

LOCAL_NAMES = frozenset({"localhost"})
FORWARDED = ("forwarded", "via", "x-forwarded-", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip")
"""What the names of headers begin with that a proxy adds."""
STRANGE = "unknown"
"""The address of those whose proxy names none."""
NETWORK = 64
"""So many bits of an IPv6 address are of a household, which has all the others to itself."""
_HOST = re.compile(r"(?P<name>[\w.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)


def host_of(header: str) -> str:
    """Return the name in a `Host` header, in lower case, without its port: `[::1]:8080` gives `::1`; '' for no such."""
    found = _HOST.fullmatch(header.strip(" \t").lower())
    return found["name"].strip("[]") if found is not None else ""


def is_loopback(host: str) -> bool:
    """Say whether a name or address is of this machine alone."""
    plain = host.strip("[]").lower()
    if plain in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return False


def is_forwarded(headers: Iterable[str]) -> bool:
    """Say whether the names of a request's headers tell that a proxy passed it on: then it may come from anywhere."""
    return any(name.lower().startswith(FORWARDED) for name in headers)


def plain_address(told: str) -> str:
    """Return an address as one writes it; `unknown` where it is none, as a proxy passes on whatever it is given."""
    try:
        return str(ipaddress.ip_address(told.partition("%")[0]))
    except ValueError:
        return STRANGE


def household(address: str) -> str:
    """Return what one visitor's addresses have in common: of IPv6 the network, of IPv4 all of it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return STRANGE
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.IPv6Network((int(found), NETWORK), strict=False))


class Hosts:
    """The names under which this service may be asked."""

    def __init__(self, listed: str, bound: str) -> None:
        """`listed` are names separated by commas, with or without port; `bound` is the address it listens on."""
        self._listed = frozenset(_names(listed.split(",")))
        self._known = self._listed | ({bound.strip("[]").lower()} - {"0.0.0.0", "::"})  # noqa: S104 - left out
        self._here = is_loopback(bound)

    @property
    def of_this_machine(self) -> bool:
        """True when it is meant for this machine alone: it listens nowhere else, and is known by no other name."""
        return self._here and all(map(is_loopback, self._listed))

    def knows(self, header: str) -> bool:
        """Say whether a request with this `Host` header may be answered."""
        host = host_of(header)
        return host != "" and (is_loopback(host) or host in self._known)


def _names(listed: Iterable[str]) -> set[str]:
    return {host_of(each) or each.strip().strip("[]").lower() for each in listed if each.strip()}
