"""`schedules run-now`, `backfill`, `cancel-backfill`: what fires because somebody wants it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from ....canvas.cli import EXIT_FAILED, Options
from ..completing import name_argument
from ..opening import actor_option, cluster_option, opened
from ..table import clock, table, tz_option, zone_of
from .editing import keys_of
from .orders import reason_option

if TYPE_CHECKING:
    from ...schedules import Schedules
    from ...view import BackfillView

LOOK_SECONDS = 0.5
"""How often --wait asks the store."""


@click.command("run-now")
@name_argument()
@click.option("--args", help="Arguments in place of its own, as a JSON list.")
@click.option("--kwargs", help="Keyword arguments in place of its own, as a JSON object.")
@click.option("--request-id", help="The same request again adds nothing; default: a new one.")
@cluster_option
@actor_option
@click.pass_obj
def run_now_(
    options: Options,
    /,
    name: str,
    request_id: str | None,
    cluster: str | None,
    actor: str | None,
    **given: Any,
) -> None:
    """Send a schedule's task once, now, also while it is paused. A beat does it; its own times do not change."""
    keys = keys_of(given)
    with opened(options, cluster=cluster, actor=actor) as schedules:
        run = schedules.run_now(name, request_id=request_id, **keys)
        state = schedules.get(name).state
    data = {"name": name, "request_id": run.request_id, "task_id": run.task_id, "new": run.is_new}
    note = "" if state == "active" else f" (it is {state}; this run goes out all the same)"
    text = (
        f"{name}: task id {run.task_id}{note}" if run.is_new else f"{name}: asked for before, {run.task_id}"
    )
    options.show(data, text)


@click.command("backfill")
@name_argument(optional=True)
@click.option("--from", "start", help="First fire time, e.g. 2026-01-01T00:00 or -7d.")
@click.option("--to", "end", default="now", show_default=True, help="Up to here, exclusive.")
@click.option(
    "--rate", type=float, help="Firings a second, at most; default: as fast as the broker takes them."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Say how many fire times there are, and which is first and last; an earlier backfill may have had some.",
)
@click.option("--wait", is_flag=True, help="Show the progress until it is decided.")
@click.option("--id", "id_", help="The same id again adds nothing; default: a new one.")
@click.option("--list", "listing", is_flag=True, help="Show the newest backfills.")
@reason_option
@cluster_option
@actor_option
@tz_option
@click.pass_obj
def backfill_(
    options: Options,
    name: str | None,
    start: str | None,
    end: str,
    rate: float | None,
    dry_run: bool,
    wait: bool,
    id_: str | None,
    listing: bool,
    reason: str,
    cluster: str | None,
    actor: str | None,
    tz: str | None,
) -> None:
    """Send the fire times of a range of the past, each once, however often it is asked for.

    They have ids of their own: a fire time that was sent when it was due is sent again. A beat decides them beside its work.
    """
    from ...view import moment, to_json
    from ..entries import instant_us

    zone = zone_of(tz)
    with opened(options, cluster=cluster, actor=actor) as schedules:
        if listing:
            known = schedules.backfills()
            options.show([to_json(view) for view in known], _table(known, tz))
            return
        if name is None or start is None:
            raise click.UsageError("which schedule, and from when? backfill NAME --from 2026-01-01T00:00")
        first, last = moment(instant_us(start, zone)), moment(instant_us(end, zone))
        if dry_run:
            found = schedules.extent(name, first, last, rate=rate)
            ends = [None if us is None else moment(us) for us in (found.first_us, found.last_us)]
            data = {"name": name, "count": found.count, "first": ends[0], "last": ends[1]}
            between = f", from {clock(ends[0], zone)} to {clock(ends[1], zone)}" if found.count else ""
            options.show(data, f"{name}: {found.count} firings{between}; nothing was done")
            return
        view = schedules.backfill(name, first, last, rate=rate, reason=reason, id=id_)
        if wait:
            view = _watch(schedules, view, options)
    options.show(
        to_json(view), f"{view.name}: backfill {view.id} is {view.state}, {view.decided} firings decided"
    )
    if view.state == "cancelled":
        sys.exit(EXIT_FAILED)


@click.command("cancel-backfill")
@click.argument("id", metavar="ID")
@actor_option
@click.pass_obj
def cancel_backfill_(options: Options, id: str, actor: str | None) -> None:
    """Stop a backfill; what it has decided is sent."""
    from ...view import to_json

    with opened(options, actor=actor) as schedules:
        view = schedules.cancel_backfill(id)
    options.show(to_json(view), f"{view.name}: backfill {id} is {view.state}, {view.decided} firings decided")


def _table(known: Any, tz: str | None) -> str:
    zone = zone_of(tz)
    heads = ("id", "name", "from", "to", "state", "decided", "progress", "by")
    rows = [
        (
            view.id,
            view.name,
            clock(view.start, zone),
            clock(view.end, zone),
            view.state,
            str(view.decided),
            f"{view.progress:.0%}",
            view.actor,
        )
        for view in known
    ]
    return table(heads, rows) if rows else "there are no backfills"


def _watch(schedules: Schedules, view: BackfillView, options: Options) -> BackfillView:
    """Follow a backfill to its end, with a bar on a terminal. Interrupting it leaves the backfill running."""
    with options.bar(view.name, 1_000) as bar:
        shown = 0
        while True:
            done = round(view.progress * 1_000)
            bar.update(done - shown)
            shown = done
            if view.state != "running":
                return view
            time.sleep(LOOK_SECONDS)
            view = schedules.get_backfill(view.id)
