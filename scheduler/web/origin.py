"""Origin: whether a request was meant for us, and came from a page of ours.

A foreign page can make a browser send requests here. It cannot choose the headers Origin and Sec-Fetch-Site, and if it lets a name of its own
point here (DNS rebinding) that name stands in Host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def host_of(header: str) -> str | None:
    """The name in a Host header, in lower case, without the port; None for what is no Host."""
    try:
        parts = urlsplit(f"//{header}")
        has_more = parts.path or parts.query or parts.fragment or parts.username is not None
        _ = parts.port
    except ValueError:
        return None
    return None if has_more or not parts.hostname else parts.hostname.rstrip(".")


def is_meant(header: str, allowed: Collection[str]) -> bool:
    """Whether Host names us: an allowed name, or any address in numbers, which no foreign name server can answer with."""
    host = host_of(header)
    if host is None:
        return False
    return host in allowed or host in LOOPBACK_NAMES or _is_numeric(host)


def is_own(host: str, origin: str | None, fetch_site: str | None) -> bool | None:
    """Whether the request comes from a page that was served at `host`; None where neither header says anything.

    The scheme is not compared: a proxy that speaks TLS stands in between.
    """
    if fetch_site is not None and fetch_site != "same-origin":
        return False
    if origin is not None:
        parts = urlsplit(origin)
        return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()
    return None if fetch_site is None else True


def safe_path(wanted: str) -> str:
    """Where to go after a login: a path of ours, else the first page."""
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if is_path and wanted.isprintable() and "\\" not in wanted else "/"


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
