"""Completing: the names of schedules, for a shell that asks what may come next.

Who presses Tab waits: the store that --store or BACKBEAT_STORE names is asked, and the files that stand there are read; no app is
imported, nothing is written to the terminal, and what has no answer in time has none.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

PATIENCE_SECONDS = 1.5
MOST = 1_000
"""Names of the store: nobody reads more, and a shell shows no more without a question."""


def schedule_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of schedules that begin so, in order."""
    given: dict[str, Any] = ctx.find_root().params
    place = Path(given.get("workdir") or ".")
    named: tuple[Path, ...] = ctx.params.get("files") or ()
    store = given.get("store") or os.environ.get("BACKBEAT_STORE")
    found: set[str] = set()

    def look() -> None:
        # one after the other: what the files gave stands when the store does not answer
        for source in (lambda: _of_files(place, named), lambda: _of_store(store, incomplete)):
            found.update(_quietly(source))

    looking = threading.Thread(target=look, name="names", daemon=True)
    looking.start()
    looking.join(PATIENCE_SECONDS)
    return sorted(name for name in found.copy() if name.startswith(incomplete))


def _quietly(source: Callable[[], Iterable[str]]) -> list[str]:
    with suppress(Exception):  # a file or a server that cannot be read: Tab shows what else there is
        return list(source())
    return []


def _of_files(place: Path, named: tuple[Path, ...]) -> Iterable[str]:
    default = place / "schedules.yaml"
    paths = [place / path for path in named] or ([default] if default.exists() else [])
    if not paths:
        return []
    from ..files import load

    return [entry.name for path in paths for entry in load(path, os.environ).entries]


def _of_store(url: str | None, beginning: str) -> Iterable[str]:
    if not url:
        return []
    from ..store.store_reader import StoreReader, open_reading

    engine = open_reading(url)
    if engine is None:
        return []
    reader = StoreReader(engine)
    try:
        return reader.names(beginning, MOST)
    finally:
        reader.close()


def name_argument(*, optional: bool = False) -> Callable[[Any], Any]:
    """The argument NAME of a command that takes one schedule."""
    return click.argument("name", required=not optional, shell_complete=schedule_names)


def names_argument(*, required: bool = False) -> Callable[[Any], Any]:
    """The argument NAMES of a command that takes several."""
    return click.argument("names", nargs=-1, required=required, shell_complete=schedule_names)
