"""Opening: the store that a command lives on, for commands that need no beat and no broker."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...canvas.cli import EXIT_FAILED, Options

if TYPE_CHECKING:
    from ..schedules import Schedules

cluster_option = click.option(
    "--cluster", help="Name that ids derive from; default: the one that the store belongs to."
)
actor_option = click.option(
    "--actor", envvar="BACKBEAT_ACTOR", help="Who does this, for the audit; default: user@host."
)


@contextmanager
def opened(
    options: Options, *, cluster: str | None = None, actor: str | None = None, make: bool = False
) -> Iterator[Schedules]:
    """The schedules of the store that --store, the app or the broker's address name; closed on leaving.

    With --store no app is needed. `make`: a store that is not there is made. What an order refuses ends the command
    with exit code 1.

    Raises StoreRefused for a store that is not there, and as `open_store` does.
    """
    from ..order import OrderRefused
    from ..schedules import Schedules
    from ..store.base import StoreRefused
    from ..store.wiring import open_store
    from ..wiring import store_url

    url, of_app = options.store or os.environ.get("BACKBEAT_STORE"), "backbeat"
    if options.app or options.broker or not url:
        app = options.load_app()
        url, of_app = store_url(app, options.store), app.cluster
    file = url.partition("sqlite:///")[2]
    if file and not make and not Path(file).exists():
        raise StoreRefused(
            f"there is no store at {file} yet: no beat has run with it. Name it with --store, or start a beat."
        )
    with Schedules(open_store(url, cluster=cluster, otherwise=of_app, make=make), actor=actor) as schedules:
        try:
            yield schedules
        except OrderRefused as refused:
            click.echo(f"backbeat: error: {refused}", err=True)
            sys.exit(EXIT_FAILED)
