"""KombuConnection: what kombu is told of a broker, with certificates and names verified over TLS. Brokers and rpc results stand on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from kombu.connection import Connection

from .errors import ImproperlyConfigured
from .tls import Tls, warn_unless_verified, with_tls
from .url_text import error_text, without_password


class KombuConnection:
    """Not connected. Raises ImproperlyConfigured, without the password, for what is no broker's URL.

    `kombu` is the library's own object; `shown` is the URL for messages.
    """

    def __init__(self, url: str, transport_options: Mapping[str, Any] | None = None, **known: Any) -> None:
        self.shown = without_password(url)
        self._tls: Tls | None = None
        try:
            plain = url
            if "amqp" in url.split(":", 1)[0]:
                plain, self._tls = with_tls(url, None)
            self._hosts = {urlsplit(each).hostname for each in plain.split(";")}
            self.kombu: Any = Connection(  # type: ignore[no-untyped-call]  # kombu has no types
                plain, transport_options=dict(transport_options or {}), **known
            )
            self.kombu.transport  # noqa: B018 - made now: a transport that is not installed shows here
        except (KeyError, ImportError, TypeError, ValueError) as error:
            text = f"the broker URL is not one that kombu knows: {error_text(error, url)}"
            raise ImproperlyConfigured(text) from None
        warn_unless_verified(self._tls, self.shown)

    def secure(self) -> Any:
        """kombu's object, ready to connect to the server that it has chosen: to be asked for before each connection."""
        if self._tls is not None:
            host = self.kombu.hostname or ""
            # kombu replaces localhost by its address, which no certificate names
            is_local = host == "127.0.0.1" and host not in self._hosts
            self.kombu.ssl = self._tls.amqp("localhost" if is_local else host)
        return self.kombu
