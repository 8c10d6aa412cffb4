"""`runs list` and `runs show`."""

from __future__ import annotations

from typing import Any

import click

from ....canvas.cli import Options
from ..table import tz_option, zone_of
from .group import filters, found, history_of, search_of

KIN = 50
"""Children that are shown."""


@click.command("list")
@filters
@click.option("-n", "--count", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--after", help="Go on after this run: the key that a page of --json ends with.")
@tz_option
@click.pass_obj
def list_(options: Options, /, count: int, after: str | None, tz: str | None, **given: Any) -> None:
    """List runs, newest first."""
    from ...history.search import Key
    from .wording import run_data, runs_table

    search, key = search_of(given), Key.parse(after or "")
    if after and key is None:
        raise click.BadParameter(f"{after!r} is no key: take the one that --json gives as `next`")
    with history_of(options) as history:
        runs = history.runs(search, count, key)
        gaps = history.gaps()
    more = str(Key(runs[-1].at_us, runs[-1].id)) if len(runs) == count else None
    _tell_gaps(gaps, runs)
    text = runs_table(runs, zone_of(tz)) if runs else "no run fits"
    options.show({"runs": [run_data(run) for run in runs], "next": more}, text)


@click.command("show")
@click.argument("id_", metavar="ID")
@tz_option
@click.pass_obj
def show_(options: Options, id_: str, tz: str | None) -> None:
    """Show one run: what was called, each try, who sent it and what it sent. The beginning of an id will do."""
    from .wording import run_data, run_lines

    with history_of(options) as history:
        (run,) = found(history, [id_])
        family = history.family(run, KIN)
    data = {
        **run_data(run),
        "family": [{"id": each.id, "task": each.name, "state": each.state} for each in family],
    }
    options.show(data, "\n".join(run_lines(run, family, zone_of(tz))))


def _tell_gaps(gaps: list[Any], runs: list[Any]) -> None:
    """Where nobody listened, between the runs that are shown."""
    from ...view import moment

    first_us = runs[-1].at_us if runs else 0
    for gap in gaps:
        if gap.to_us >= first_us:
            span = f"{moment(gap.from_us):%Y-%m-%dT%H:%M:%SZ} to {moment(gap.to_us):%Y-%m-%dT%H:%M:%SZ}"
            click.echo(f"backbeat: not all may be known from {span}: {gap.reason}", err=True)
