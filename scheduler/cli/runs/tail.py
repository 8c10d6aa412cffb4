"""`runs tail`: a line for each change of a run, as the history hears of it."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from ....canvas.cli import Options
from .group import filters, history_of, search_of

LOOK_SECONDS = 0.5
AT_ONCE = 500
"""The newest runs, of which changes are told."""


@click.command("tail")
@filters
@click.option("--for", "duration", help="Stop by itself after this time, e.g. 30s.")
@click.pass_obj
def tail_(options: Options, /, duration: str | None, **given: Any) -> None:
    """Show runs as they change, of the newest 500 that fit. Ctrl-C ends it."""
    from ...duration import parse_duration
    from .wording import printable, run_data

    search = search_of(given)
    until = None if duration is None else time.monotonic() + parse_duration(duration).total_seconds()
    with history_of(options) as history:
        states = {run.id: run.state for run in history.runs(search, AT_ONCE)}
        while until is None or time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            newest = history.runs(search, AT_ONCE)
            for run in reversed(newest):
                if states.get(run.id) == run.state:
                    continue
                if options.as_json:
                    click.echo(json.dumps(run_data(run), default=str))
                else:
                    took = "" if run.seconds is None else f"  {run.seconds:.3f} s"
                    stamp = f"{time.strftime('%H:%M:%S', time.gmtime())}Z"
                    names = f"{printable(run.state):<9} {printable(run.name)}  {printable(run.id)}"
                    click.echo(f"{stamp}  {names}{took}  {printable(run.error, 80)}".rstrip())
            states = {run.id: run.state for run in newest}
            sys.stdout.flush()
