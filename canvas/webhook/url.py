"""Url: the parts of an address that a webhook goes to. PURE.

Read once and by one rule: who looks up the name, who connects and who writes the request use these parts and never the text again, so that no two
readers can differ about which host is meant.
"""

from __future__ import annotations

import re

from msgspec import Struct

from ..errors import ImproperlyConfigured

LONGEST = 2_000
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>[/?][\x21-\x7e]*)?",
    re.ASCII,
)
_PORTS = {"https": 443, "http": 80}


class Url(Struct, frozen=True):
    """An address in its parts. `target` is path and query, as a request line has them."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def place(self) -> str:
        """The address without path and query, which may be secrets: for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


def read_url(text: object) -> Url:
    """The parts of `text`. Raises ImproperlyConfigured, without what may be secret in it."""
    if not isinstance(text, str):
        raise ImproperlyConfigured(f"the URL of a webhook must be a text, found a {type(text).__name__}")
    if len(text) > LONGEST:
        raise ImproperlyConfigured(
            f"the URL of a webhook has {len(text):,} characters, more than {LONGEST:,}"
        )
    plain, _, _ = text.partition("#")  # what follows it is never sent
    found = _URL.fullmatch(plain)
    port = 0 if found is None else int(found["port"] or _PORTS[found["scheme"]])
    if found is None or not 0 < port < 2**16:
        raise ImproperlyConfigured(
            "the URL of a webhook must be https://host/path, in printable ASCII and without user or password"
        )
    target = found["target"] or "/"
    return Url(
        scheme=found["scheme"],
        host=found["host"].strip("[]").lower(),
        port=port,
        target=target if target.startswith("/") else f"/{target}",
    )
