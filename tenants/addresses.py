"""Which URLs we may call: of NDW those listed in NDW_ALLOWED_HOSTS, of CPOs' Senders any public https one.

Asked when an operator saves a URL and again before every call; where a name leads is asked once more for each connection.
Source: design §7, "URLs of NDW"; reliability C28, E12 "Operator URLs".
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.[a-z][a-z0-9-]*[a-z0-9]", re.ASCII)
_PLAIN = re.compile(r"[!-\[\]-~]{1,500}")  # urlsplit and requests differ about white space, control characters and \
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_TUNNELS = [ipaddress.ip_network(one) for one in ("2001::/32", "2002::/16", "64:ff9b:1::/48")]


class NotAllowed(ValueError):
    """The URL is not one we may call; says why."""


def check(url: str) -> None:
    """Let a URL of NDW's pass that we may call. Raises NotAllowed."""
    parts, host, port, shown = _taken_apart(url)
    if not _is_listed(settings.NDW_ALLOWED_HOSTS, host, port):
        raise NotAllowed(
            f"{shown}: not in NDW_ALLOWED_HOSTS, which lists {', '.join(settings.NDW_ALLOWED_HOSTS) or 'nothing'}."
        )
    _demand_https(parts, host, shown)


def check_source(url: str, *, is_typed: bool = True) -> None:
    """Let a URL of a CPO's Sender pass that we may call, as far as the URL alone can tell. Raises NotAllowed.

    The exceptions of SOURCE_ALLOWED_HOSTS are for what an operator typed, not for where a Sender leads.
    """
    if not _PLAIN.fullmatch(url):
        raise NotAllowed("Not a URL: only printable ASCII without spaces and \\, at most 500 characters.")
    parts, host, port, shown = _taken_apart(url)
    if is_typed and _is_listed(settings.SOURCE_ALLOWED_HOSTS, host, port):
        return _demand_https(parts, host, shown)
    if parts.scheme != "https":
        raise NotAllowed(f"{shown}: not https.")
    if port not in (None, 443):
        raise NotAllowed(f"{shown}: not port 443; any other has to be listed in SOURCE_ALLOWED_HOSTS.")
    if not _is_public_host(host):
        raise NotAllowed(f"{shown}: not a public host name or address.")
    return None


def check_source_leads_out(url: str) -> None:
    """Let a Sender's URL pass whose host is found, and at public addresses only. Raises NotAllowed."""
    check_source(url)
    _, host, port, shown = _taken_apart(url)
    try:
        found = lookup(host, port or 443)
    except OSError as error:
        raise NotAllowed(f"{shown}: no such host ({error.strerror or error}).") from error
    inner = [address for address in found if not is_source(host, port or 443, address)]
    if inner:
        raise NotAllowed(f"{shown}: {host} is at {inner[0]}, which is not a public address.")


def lookup(host: str, port: int) -> list[Address]:
    """Return where a host is. Raises OSError, also for a name that no DNS can have."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"not a host name: {error}") from error
    return list(dict.fromkeys(ipaddress.ip_address(one[4][0]) for one in found))


def is_ndw(host: str, port: int, address: Address) -> bool:
    """Return True when a host of NDW's may be at this address: a listed loopback name on this machine, all others outside."""
    return address.is_loopback if host in LOOPBACK else is_public(address)


def is_source(host: str, port: int, address: Address) -> bool:
    """Return True when a CPO's host may be at this address: a listed one anywhere, all others outside."""
    return _is_listed(settings.SOURCE_ALLOWED_HOSTS, host, port) or is_public(address)


def is_outside(host: str, port: int, address: Address) -> bool:
    """Return True when a host to which a Sender leads may be at this address."""
    return is_public(address)


def is_public(address: Address) -> bool:
    """Return True for an address outside; one that carries an IPv4 address inside is as public as that."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.is_site_local or address.scope_id or any(address in tunnel for tunnel in _TUNNELS):
            return False
    return address.is_global and not address.is_multicast


def _taken_apart(url: str) -> tuple[SplitResult, str, int | None, str]:
    """Return the parts, host and port of a URL, and what is shown of it. Raises NotAllowed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise NotAllowed(f"Not a URL: {error}.") from error
    shown = f"{parts.scheme[:20]}://{host[-100:]}" + (f":{port}" if port is not None else "")
    if "@" in parts.netloc or parts.fragment:
        raise NotAllowed(f"{shown}: no user name, password or # belongs in the URL.")
    return parts, host, port, shown


def _demand_https(parts: SplitResult, host: str, shown: str) -> None:
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
        raise NotAllowed(f"{shown}: not https; only a loopback host may be http.")


def _is_listed(entries: Iterable[str], host: str, port: int | None) -> bool:
    return any(_covers(urlsplit(f"//{entry}"), host, port) for entry in entries)


def _covers(entry: SplitResult, host: str, port: int | None) -> bool:
    """An entry without a port means https' own, for a loopback host any."""
    any_port = entry.port is None and host in LOOPBACK
    return entry.hostname == host and (any_port or (entry.port or 443) == (port or 443))


def _is_public_host(host: str) -> bool:
    """Return True for a public address in its usual form, or a name with a dot: `127.1` and `0x7f000001` are neither."""
    try:
        return is_public(ipaddress.ip_address(host))
    except ValueError:
        return (
            len(host) <= 253
            and _NAME.fullmatch(host) is not None
            and not host.endswith((".localhost", ".local", ".internal"))
        )
