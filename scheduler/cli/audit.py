"""`backbeat audit`: who did what to which schedule."""

from __future__ import annotations

from datetime import UTC

import click

from ...canvas.cli import Options
from .completing import name_argument
from .opening import opened
from .table import clock
from .wording import changed, worded


@click.command()
@name_argument(optional=True)
@click.option("-n", "--count", default=50, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--tz", help="Show times in this zone; default: UTC.")
@click.pass_obj
def audit(options: Options, name: str | None, count: int, tz: str | None) -> None:
    """Show what operators did to schedules, newest first: who, when, what was before and what after."""
    from ..view import to_json
    from ..zone import zone_named

    zone = zone_named(tz) if tz else UTC
    with opened(options) as schedules:
        found = schedules.audit(name, count)
    lines = []
    for line in found:
        lines.append(f"{clock(line.at, zone)}  {line.actor}  {line.action}  {line.target}")
        detail = dict(line.detail)
        before, after = detail.pop("before", {}), detail.pop("after", {})
        if detail:
            lines.append("    " + ", ".join(" ".join(worded(*each, zone)) for each in sorted(detail.items())))
        lines += changed(before, after, zone)
    options.show([to_json(line) for line in found], "\n".join(lines) or "nobody did anything")
