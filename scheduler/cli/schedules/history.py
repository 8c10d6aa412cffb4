"""`schedules history`: what became of a schedule's fire times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING

import click

from ....canvas.cli import Options
from ..completing import name_argument
from ..opening import opened
from ..table import clock, table, tz_option, zone_of

if TYPE_CHECKING:
    from ...view import HistoryView


@click.command("history")
@name_argument()
@click.option("-n", "--count", default=20, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--before", help="Only fire times before this one: 2026-12-01T03:00, now, -2h.")
@tz_option
@click.pass_obj
def history_(options: Options, name: str, count: int, before: str | None, tz: str | None) -> None:
    """Show the last firings and skips of a schedule, newest first; also of one that was removed."""
    from ...view import moment, to_json
    from ..entries import instant_us

    zone = zone_of(tz)
    until = moment(instant_us(before, zone)) if before else None
    with opened(options) as schedules:
        schedules.get(name)
        found = schedules.history(name, count, until)
    options.show(
        [to_json(line) for line in found], history_table(found, zone) if found else f"{name} never fired"
    )


def history_table(lines: Sequence[HistoryView], zone: tzinfo) -> str:
    """Lines of the history as text."""
    heads = ("fire time", "kind", "state", "decided", "sent", "late", "task id", "rev", "epoch", "reason")
    rows = []
    for line in lines:
        fire_time = clock(line.fire_time, zone, parts=True)
        if line.until is not None and line.until != line.fire_time:
            number = "?" if line.count is None else line.count
            fire_time += f" .. {clock(line.until, zone, parts=True)} ({number})"
        late = "-" if line.lateness_seconds is None else f"{line.lateness_seconds:.3f} s"
        rows.append(
            (
                fire_time,
                line.kind,
                line.state,
                clock(line.decided, zone, parts=True),
                clock(line.sent, zone, parts=True),
                late,
                line.task_id or "-",
                str(line.rev),
                str(line.epoch),
                line.reason,
            )
        )
    return table(heads, rows)
