"""Table: rows of text on a terminal, with times in the zone that --tz names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

import click

tz_option = click.option("--tz", help="Show times in this zone; default: UTC.")


def zone_of(tz: str | None) -> tzinfo:
    """The zone of --tz."""
    from ..zone import zone_named

    return zone_named(tz) if tz else UTC


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows below their heads, in columns as wide as they need; the heads alone where there are none."""
    lines = [[head.upper() for head in heads], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def clock(instant: datetime | None, zone: tzinfo, *, parts: bool = False) -> str:
    """An instant in a zone, "-" for none; `parts` of a second too, where there are any."""
    from ..view import in_zone

    if instant is None:
        return "-"
    local = in_zone(instant, zone)
    spec = "milliseconds" if parts and local.microsecond else "seconds"
    return local.isoformat(" ", spec).replace("+00:00", "Z")
