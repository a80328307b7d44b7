"""Under which names this server is reached, and whether others can reach it at all. Knows the network, no request."""

import ipaddress
import socket
from collections.abc import Iterable

import psutil

LOCAL = ("localhost", "127.0.0.1", "::1")


def is_local(name: str) -> bool:
    """True if only this machine itself can use that address or name."""
    try:
        return name.lower() == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def names(address: str, more: Iterable[str] = ()) -> list[str]:
    """All names under which a server at `address` is asked for: the machine's own, and those that a person adds."""
    found = {"localhost", "127.0.0.1", address, *more}
    if is_local(address):
        return sorted(found)
    found |= {*LOCAL, socket.gethostname(), f"{socket.gethostname()}.local"}
    if address in {"0.0.0.0", "::"}:  # noqa: S104 - asked about, not bound to
        found |= set(own_addresses())
    return sorted(name.lower() for name in found if name)


def own_addresses() -> list[str]:
    """The machine's addresses that others can reach, those of version 4 first."""
    found = {
        one.address.partition("%")[0]
        for cards in psutil.net_if_addrs().values()
        for one in cards
        if one.family in (socket.AF_INET, socket.AF_INET6)
    }
    far = [ipaddress.ip_address(text) for text in found]
    return [str(one) for one in sorted(far, key=lambda one: (one.version, int(one))) if not one.is_loopback]
