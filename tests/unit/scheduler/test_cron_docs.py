"""The tables of fire times in docs/cron.md say what the scheduler does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from backbeat.scheduler.cron_field import LAYOUTS
from backbeat.scheduler.cron_text import WORDS
from backbeat.scheduler.schedule import Crontab, DayMatch, Dst, zone_named

TEXT = (Path(__file__).parents[3] / "docs" / "cron.md").read_text()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows() -> list[dict[str, str]]:
    """The rows of the tables that have a column of fire times, by column."""
    found, columns = [], []
    for line in TEXT.splitlines():
        cells = (
            [cell.strip().strip("`") for cell in line.strip("| ").split(" | ")]
            if line.startswith("|")
            else []
        )
        if not cells:
            columns = []
        elif not columns:
            columns = cells
        elif columns[-1] == "fires" and not cells[0].startswith("---"):
            found.append(dict(zip(columns, cells, strict=True)))
    return found


ROWS = rows()


@pytest.mark.parametrize("row", ROWS, ids=[" ".join(row.values())[:40] for row in ROWS])
def test_a_row_of_fire_times_is_what_comes(row: dict[str, str]) -> None:
    zone = row.get("zone", "UTC")
    schedule = Crontab(
        expression=row["expression"],
        timezone=zone,
        dst=Dst(row.get("dst", "once")),
        day_match=DayMatch(row.get("day_match", "any")),
    )
    told = row["fires"].split(", ")
    at = (datetime.fromisoformat(row["from"]).replace(tzinfo=zone_named(zone)) - EPOCH) // timedelta(
        microseconds=1
    )

    found = []
    for _ in told:
        following = schedule.next_after(at)
        assert following is not None
        at = following
        fire = (EPOCH + timedelta(microseconds=at)).astimezone(zone_named(zone))
        found.append(f"{fire:%Y-%m-%d %H:%M}" + (f"{fire:%z}" if "zone" in row else ""))

    assert found == told


def test_the_page_has_rows_and_names_all_fields_and_words() -> None:
    assert len(ROWS) > 20
    assert all(word in TEXT for word in WORDS)
    assert all(kind.noun in TEXT for kind in LAYOUTS[7])
