"""`backbeat health`: for probes that run a command, and for scripts: one sentence, and 0 or not, within ten seconds."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from ...canvas.cli import EXIT_FAILED, EXIT_UNAVAILABLE, Options

if TYPE_CHECKING:
    from ..store.base import Lease
    from ..store.store_reader import StoreReader

LIMIT_SECONDS = 10.0
PATIENCE_SECONDS = 8.0
"""A part of the limit: the rest is for starting and connecting. A leader renews its lease every fifth of the TTL, 2 s."""
LOOK_SECONDS = 0.25


@click.command()
@click.option(
    "--max-age",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help=f"Seconds to wait for a sign of life in the store; no more than {PATIENCE_SECONDS:g} are waited.",
)
@click.option(
    "--url",
    metavar="URL",
    help="Ask the beat or the worker that serves --web there, in place of the store: http://127.0.0.1:8788",
)
@click.pass_obj
def health(options: Options, max_age: float, url: str | None) -> None:
    """Is a beat, or a worker, alive? Exit code 0: yes, 1: no, 69: the store (or the URL) does not answer.

    Without --url the store is asked whether some beat leads and renews its lease; with --url one beat, whatever its role,
    or one worker: whether it can consume.
    """
    answers: list[tuple[int, str]] = []

    def ask() -> None:
        try:
            answers.append(_ask_beat(url) if url else _ask_store(options, max_age))
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that can exit
            answers.append((_code_of(error), str(error) or type(error).__name__))

    thread = threading.Thread(target=ask, name="health", daemon=True)
    thread.start()
    thread.join(LIMIT_SECONDS - 0.5)
    code, text = answers[0] if answers else (EXIT_UNAVAILABLE, f"no answer within {LIMIT_SECONDS:g} s")
    options.show({"healthy": code == 0, "text": text}, text)
    sys.stdout.flush()
    sys.exit(code)


def _code_of(error: BaseException) -> int:
    from ...canvas.cli import EXIT_USAGE
    from ...canvas.errors import ImproperlyConfigured
    from ..store.base import StoreDown, StoreRefused

    match error:
        case StoreDown() | OSError():
            return EXIT_UNAVAILABLE
        case StoreRefused() | ImproperlyConfigured() | ModuleNotFoundError():
            return EXIT_USAGE
        case _:
            return EXIT_FAILED


def _ask_beat(url: str) -> tuple[int, str]:
    import http.client  # with all that belongs to it

    parts = urlsplit(url if "//" in url else f"//{url}")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.hostname or "127.0.0.1", parts.port or 443, timeout=5.0
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=5.0)
    try:
        connection.request("GET", parts.path.rstrip("/") or "/healthz")
        answer = connection.getresponse()
        text = answer.read(2_000).decode("utf-8", "replace").strip().partition("\n")[0]
    except (OSError, http.client.HTTPException) as error:
        return EXIT_UNAVAILABLE, f"{url} does not answer: {error or type(error).__name__}"
    finally:
        connection.close()
    match answer.status:
        case 200:
            return 0, text
        case 503:
            return EXIT_FAILED, text
        case status:
            return (
                EXIT_UNAVAILABLE,
                f"{url} answers {status}: is that the --web address of a beat or a worker?",
            )


def _ask_store(options: Options, max_age: float) -> tuple[int, str]:
    from ..store.base import StoreRefused
    from ..store.store_reader import StoreReader, open_reading
    from ..wiring import store_url

    url = options.store or store_url(options.load_app(), None)
    engine = open_reading(url)
    if engine is None:
        raise StoreRefused("nobody else can read a memory store: use --url")
    reader = StoreReader(engine)
    try:
        return _watch(reader, min(max_age, PATIENCE_SECONDS))
    finally:
        reader.close()


def _watch(reader: StoreReader, patience_seconds: float) -> tuple[int, str]:
    """Look until the lease is renewed, or patience is over."""
    first = lease = reader.lease()
    began = time.monotonic()
    while (waited := time.monotonic() - began) < patience_seconds:
        time.sleep(LOOK_SECONDS)
        lease = reader.lease()
        if lease.holder and (lease.epoch, lease.renewal) != (first.epoch, first.renewal):
            return 0, f"a beat leads: {_who(lease)}"
    if not lease.holder:
        return EXIT_FAILED, f"no beat leads: nobody has held the lease for {waited:.0f} s"
    return (
        EXIT_FAILED,
        f"no sign of life within {waited:.0f} s: the lease is held by {_who(lease)} and was not renewed",
    )


def _who(lease: Lease) -> str:
    from ...canvas.holder import Holder

    holder = Holder.parse(lease.holder)
    return f"{holder.host}, pid {holder.pid}, epoch {lease.epoch}" if holder else f"epoch {lease.epoch}"
