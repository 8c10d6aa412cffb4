"""Tls: what is asked for of an encrypted connection, in a URL's query and in Celery's settings, in one form for all clients.

The server's certificate and name are verified unless somebody says otherwise, and that is said once to the log. Query and setting
take the same words, with `ssl_` in front or without: cert_reqs (required, optional, none), ca_certs, certfile, keyfile,
check_hostname, server_hostname. What the URL says wins.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from msgspec import Struct

from .errors import ImproperlyConfigured

logger = logging.getLogger(__name__)

_WORDS = ("cert_reqs", "ca_certs", "certfile", "keyfile", "check_hostname", "server_hostname")
_SECURE = {"amqp": "amqps", "pyamqp": "amqps", "redis": "rediss", "valkey": "valkeys"}
_MODES = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}


class Tls(Struct, frozen=True, kw_only=True):
    """How a server is to prove who it is, and how we do."""

    cert_reqs: str = "required"
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    check_hostname: bool = True
    server_hostname: str | None = None

    @property
    def verifies(self) -> bool:
        """Whether a server with another's certificate is refused."""
        return self.cert_reqs != "none" and self.check_hostname

    def words(self) -> dict[str, str]:
        """What differs from the defaults, for the query of a URL."""
        default = Tls()
        pairs = {name: getattr(self, name) for name in _WORDS}
        return {
            f"ssl_{n}": str(v).lower() if n == "check_hostname" else v
            for n, v in pairs.items()
            if v != getattr(default, n)
        }

    def query(self) -> dict[str, str]:
        """What redis-py wants to read in a URL."""
        if self.server_hostname is not None:
            raise ImproperlyConfigured(
                "ssl_server_hostname is for amqps://; write the name of the certificate in the rediss:// URL"
            )
        files = {"ssl_ca_certs": self.ca_certs, "ssl_certfile": self.certfile, "ssl_keyfile": self.keyfile}
        return {
            "ssl_cert_reqs": self.cert_reqs,
            "ssl_check_hostname": str(self.verifies).lower(),
            **{name: path for name, path in files.items() if path is not None},
        }

    def amqp(self, host: str) -> dict[str, Any]:
        """What py-amqp wants to be told; it checks the name if it is given one, and kombu would give it one in place of None."""
        name = {"server_hostname": self.server_hostname or host} if self.verifies else {}
        return {
            "cert_reqs": _MODES[self.cert_reqs],
            "ca_certs": self.ca_certs,
            "certfile": self.certfile,
            "keyfile": self.keyfile,
            "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
            **name,
        }


def with_tls(url: str, setting: object) -> tuple[str, Tls | None]:
    """`url` without what it says of TLS, with the scheme of an encrypted connection if there shall be one; and how, or None.

    `setting` is `broker_use_ssl` or `redis_backend_use_ssl`. Of several URLs, separated by `;`, the first says how, for all of them.
    Raises ImproperlyConfigured for words and values that are not known.
    """
    said: dict[str, Any] = {}
    plain = []
    for each in reversed(url.split(";")):
        parts = urlsplit(each)
        query = parse_qsl(parts.query, keep_blank_values=True)
        said = {name: value for name, value in query if _is_ours(parts.scheme, name)}
        rest = [(name, value) for name, value in query if name not in said]
        scheme = _SECURE.get(parts.scheme, parts.scheme) if setting else parts.scheme
        plain.append(each if (scheme, rest) == (parts.scheme, query) else _joined(scheme, parts, rest))
    is_wanted = bool(setting) or urlsplit(url).scheme in _SECURE.values()
    tls = _tls_of({**_words("the setting", setting), **_words("the URL", said)}) if is_wanted else None
    return ";".join(reversed(plain)), tls


def secured(url: str, setting: object) -> str:
    """A URL that says itself what the setting says of TLS. Once done, to do it again changes nothing."""
    plain, tls = with_tls(url, setting)
    if tls is None:
        return plain
    first, mark, others = plain.partition(";")
    return with_query(first, tls.words()) + mark + others


def with_query(url: str, more: Mapping[str, str]) -> str:
    """`url` with more in its query."""
    parts = urlsplit(url)
    return _joined(parts.scheme, parts, [*parse_qsl(parts.query, keep_blank_values=True), *more.items()])


def warn_unless_verified(tls: Tls | None, place: str) -> None:
    """One warning for each place whose certificate is not verified, in each process."""
    if tls is not None and not tls.verifies:
        warn_unverified(place)


@cache
def warn_unverified(place: str) -> None:
    """As `warn_unless_verified`, for who knows it. `place` has no password in it."""
    logger.warning(
        "the certificate of %s is not verified, so anybody on the way can read and change what is sent",
        place,
        extra={"action": "tls_unverified"},
    )


def certificate_fault(error: BaseException | None) -> str | None:
    """What is wrong with a server's certificate, if that is why a connection failed."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"its certificate cannot be verified: {error.verify_message}. "
                "Give its authority's certificate with ?ssl_ca_certs=FILE"
            )
        error = error.__cause__ or error.__context__
    return None


def _is_ours(scheme: str, name: str) -> bool:
    """The Redis client has more words for itself."""
    return name.startswith("ssl_") and (name[4:] in _WORDS or "amqp" in scheme)


def _joined(scheme: str, parts: Any, query: list[tuple[str, str]]) -> str:
    # not urlunsplit, which would lose the slashes of an empty host
    text = urlencode(query)
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return f"{scheme}://{parts.netloc}{parts.path}" + (f"?{text}" if text else "") + fragment


def _words(where: str, said: object) -> dict[str, Any]:
    """What a setting or a query says, by the names of Tls."""
    if not isinstance(said, Mapping):
        return {}
    words = {str(name).removeprefix("ssl_"): value for name, value in said.items()}
    unknown = sorted(words.keys() - set(_WORDS))
    if unknown:
        raise ImproperlyConfigured(
            f"{where} has ssl_{unknown[0]}, which is not known of TLS; known are {', '.join('ssl_' + word for word in _WORDS)}"
        )
    return words


def _tls_of(words: dict[str, Any]) -> Tls:
    known = {
        name: os.fspath(value)
        for name, value in words.items()
        if value is not None and name not in ("cert_reqs", "check_hostname")
    }
    return Tls(
        cert_reqs=_mode(words.get("cert_reqs", "required")),
        check_hostname=str(words.get("check_hostname", True)).lower() not in ("false", "0", "no"),
        **known,
    )


def _mode(value: object) -> str:
    text = value.name if isinstance(value, ssl.VerifyMode) else str(value)
    mode = text.removeprefix("CERT_").lower()
    if mode not in _MODES:
        raise ImproperlyConfigured(f"ssl_cert_reqs is required, optional or none, not {text!r}")
    return mode
