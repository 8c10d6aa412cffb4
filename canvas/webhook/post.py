"""Post: one request of a webhook, or of a ping, to an address that somebody else chose.

The name is looked up once. Of the addresses that it leads to those that the policy allows are connected to, and no name is looked up after
that: an answer that changes meanwhile (DNS rebinding) reaches nothing. The certificate is checked for the name. A redirect is an answer like
any other, and not a good one; proxies of the environment are not asked. All of it, from the look-up to the answer's headers, has one time limit, kept by a
timer that cuts the connection, as a peer that sends a byte from time to time never runs into the time limit of a socket. The
body of an answer is not read, so nothing of it gets into a log.

urllib3 and other clients look names up themselves, when they connect; so this is http.client over a socket that is connected already.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import TypeVar

from msgspec import Struct

from ..errors import ImproperlyConfigured
from .policy import Policy
from .signed import signed_headers
from .url import Url, read_url

Resolve = Callable[[str, int], Sequence[str]]
T = TypeVar("T")

AGENT = "backbeat"
MOST_ADDRESSES = 4
"""Of one name that are tried."""


class Delivered(Struct, frozen=True):
    """It was answered with a status of 200 to 299."""

    status: int


class Undelivered(Struct, frozen=True):
    """It was not; trying again later may help. `reason` holds nothing of what the peer said but the status."""

    reason: str


class Refused(Struct, frozen=True):
    """It must not, or cannot, be sent; somebody has to change something first."""

    reason: str


Answer = Delivered | Undelivered | Refused


def addresses_of(host: str, port: int) -> Sequence[str]:
    """The addresses that a name leads to, whatever form it has: numbers that stand for one (2130706433, 0x7f.1) are names, too."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def post(id: str, url: str, body: str, policy: Policy, resolve: Resolve = addresses_of) -> Answer:
    """POST a payload, signed, as the delivery `id`."""
    try:
        encoded = body.encode()
        headers = signed_headers(policy.signing_secret, id, encoded, time.time())
        return _request("POST", read_url(url), encoded, headers, policy, resolve)
    except ImproperlyConfigured as error:
        return Refused(str(error))


def ping(url: str, policy: Policy, resolve: Resolve = addresses_of) -> Answer:
    """GET an address, with nothing to say but that."""
    try:
        return _request("GET", read_url(url), None, {}, policy, resolve)
    except ImproperlyConfigured as error:
        return Refused(str(error))


def _request(
    method: str, url: Url, body: bytes | None, headers: dict[str, str], policy: Policy, resolve: Resolve
) -> Answer:
    deadline = time.monotonic() + policy.timeout_seconds
    try:
        addresses = _within(deadline, lambda: resolve(url.host, url.port))
    except (OSError, UnicodeError):
        return Undelivered(f"{url.place}: the name cannot be resolved")
    objections = {each: policy.allowed.objection(url.host, url.scheme, each) for each in addresses}
    open_ones = [address for address, objection in objections.items() if objection is None]
    if not open_ones:
        why = next((each for each in objections.values() if each is not None), "the name leads nowhere")
        return Refused(f"{why}: list it in webhook_allowed_hosts if that is meant")
    answer: Answer = Undelivered(f"{url.place}: no answer")
    for address in open_ones[:MOST_ADDRESSES]:
        try:
            with _connected(address, url.port, deadline) as connection:
                status = _status(connection, method, url, body, headers)
        except (OSError, ValueError, http.client.HTTPException) as error:
            answer = Undelivered(f"{url.place}: {_why(error, deadline)}")
            continue
        if time.monotonic() >= deadline:  # it was cut off, and the headers seem to end there
            return Undelivered(f"{url.place}: {_LATE}")
        if 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls a success
            return Delivered(status)
        return Undelivered(f"{url.place}: answered with status {status}")
    return answer


_LATE = "no answer in time"


def _why(error: Exception, deadline: float) -> str:
    """What went wrong, with nothing of what the peer said."""
    match error:
        case ConnectionRefusedError():
            return "connection refused"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not good: {error.verify_message}"
        case _ if time.monotonic() >= deadline:
            return _LATE
        case _:
            return type(error).__name__


def _status(
    connection: socket.socket, method: str, url: Url, body: bytes | None, headers: dict[str, str]
) -> int:
    """Ask on a connection, and read the headers of the answer."""
    secured = connection
    if url.scheme == "https":
        secured = _context().wrap_socket(connection, server_hostname=url.host)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    asked = kind(url.host, url.port)
    asked.sock = secured  # so it connects to nothing by itself
    said = {"User-Agent": AGENT, "Connection": "close", "Accept": "*/*", **headers}
    if body is not None:
        said["Content-Type"] = "application/json"
    try:
        asked.request(method, url.target, body=body, headers=said)
        return asked.getresponse().status
    finally:
        asked.close()
        secured.close()


@contextmanager
def _connected(address: str, port: int, deadline: float) -> Iterator[socket.socket]:
    """A connection to exactly this address, which is cut at the deadline whatever is read or written on it then."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    with socket.create_connection((address, port), timeout=left) as connection:
        twin = connection.dup()  # TLS takes the descriptor of the first one over
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), _cut, [twin])
        timer.daemon = True
        timer.start()
        try:
            yield connection
        finally:
            timer.cancel()
            timer.join()
            twin.close()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _within(deadline: float, call: Callable[[], T]) -> T:
    """What `call` returns or raises; TimeoutError where the deadline comes first: a resolver has time limits of its own."""
    found: list[T] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            found.append(call())
        except (OSError, UnicodeError) as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="webhook-resolver", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if raised:
        raise raised[0]
    if not found:
        raise TimeoutError
    return found[0]


@cache
def _context() -> ssl.SSLContext:
    """With the authorities that this machine trusts, or those of SSL_CERT_FILE; TLS 1.2 at least."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
