"""Django: the periodic tasks in the tables of django-celery-beat, read from the database itself; Django need not be there.

Columns that older versions do not have count as empty. Nothing is written. Times without a zone are UTC, as Django keeps them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import SQLAlchemyError

from ...canvas.errors import Unavailable
from ...canvas.sql.engine import sql_url
from ..celery_schedule import Translated, clocked, crontab, interval
from ..entry import Entry
from ..errors import ScheduleError
from ..schedule import Interval, Solar
from .celery_option import mapped
from .haul import ROUTES, Draft, Haul, Sorting, Unmapped, signature

PREFIX = "django_celery_beat_"
KINDS = {
    "interval": "intervalschedule",
    "crontab": "crontabschedule",
    "solar": "solarschedule",
    "clocked": "clockedschedule",
}
"""The columns that point to a schedule, in the order in which django-celery-beat looks at them, and their tables."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Row = Mapping[str, Any]


def read_django(database: str) -> Haul:
    """All periodic tasks of a database. Raises ScheduleError for an address or a database without the tables, Unavailable."""
    url = sql_url(database)
    if url is None:
        raise ScheduleError(
            f"{database!r} is not a database URL", help="postgresql://user@host/db, mysql://, sqlite:///file"
        )
    if url.drivername.startswith("sqlite") and not (url.database and Path(url.database).exists()):
        raise ScheduleError(f"there is no file {url.database}")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return _haul(connection, url)
    except SQLAlchemyError as error:
        raise Unavailable(f"the database cannot be read: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()


def _haul(connection: Connection, url: URL) -> Haul:
    tables = set(inspect(connection).get_table_names())
    if f"{PREFIX}periodictask" not in tables:
        raise ScheduleError(f"{url.render_as_string()} has no table {PREFIX}periodictask")
    schedules = {
        kind: {row["id"]: row for row in _rows(connection, table)}
        for kind, table in KINDS.items()
        if f"{PREFIX}{table}" in tables
    }
    sorting = Sorting()
    for row in _rows(connection, "periodictask"):
        try:
            sorting.drafts.append(_draft(row, schedules))
        except (ScheduleError, ValueError, TypeError, KeyError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            sorting.unmapped.append(
                Unmapped(name=str(row["name"]), reason=reason, text=str(row.get("task", "")))
            )
    return sorting.haul(f"django-celery-beat at {url.render_as_string()}", (ROUTES,))


def _rows(connection: Connection, table: str) -> Sequence[Row]:
    query = text(f"SELECT * FROM {PREFIX}{table} ORDER BY id")
    return [dict(row) for row in connection.execute(query).mappings()]


def _draft(row: Row, schedules: Mapping[str, Mapping[int, Row]]) -> Draft:
    when, notes = _when(row, schedules)
    expires_us, start_us = _moment_us(row.get("expires")), _moment_us(row.get("start_time"))
    given = {name: row.get(name) or None for name in ("queue", "exchange", "routing_key")}
    headers = _json(row, "headers", {})
    options = mapped(
        {
            **given,
            "priority": row.get("priority"),
            "expires": row.get("expire_seconds"),
            "headers": headers or None,
        }
    )
    if expires_us is not None:
        notes.append("end: this was the task's expires, after which it does not run")
    is_over = bool(row.get("one_off")) and bool(row.get("total_run_count"))
    if is_over:
        notes.append("enabled: false, since this one-off task has run")
    what = signature(
        str(row["task"]), list(_json(row, "args", [])), dict(_json(row, "kwargs", {})), options.options
    )
    entry = Entry(
        name=str(row["name"]),
        when=when,
        what=what,
        enabled=bool(row["enabled"]) and not is_over,
        start_us=start_us,
        end_us=None if expires_us is None else expires_us - 1,
        max_runs=1 if row.get("one_off") else None,
        description=" ".join(str(row.get("description") or "").split()),
    )
    return Draft(entry=entry, notes=(*notes, *options.notes), lost=tuple(options.lost))


def _when(row: Row, schedules: Mapping[str, Mapping[int, Row]]) -> tuple[Any, list[str]]:
    set_ = [kind for kind in KINDS if row.get(f"{kind}_id") is not None]
    if not set_:
        raise ScheduleError("it has no schedule")
    kind, *others = set_
    found = schedules.get(kind, {}).get(row[f"{kind}_id"])
    if found is None:
        raise ScheduleError(f"its {kind} {row[f'{kind}_id']} is gone")
    when = _translated(kind, found)
    notes = list(when.notes)
    if others:
        notes.append(f"it also names a {' and a '.join(others)}; django-celery-beat looks at the {kind} only")
    last_us = _moment_us(row.get("last_run_at")) or _moment_us(row.get("start_time"))
    if isinstance(when.when, Interval) and last_us is not None:
        notes = [
            "anchor: its last run, from which the interval goes on; here lateness and restarts do not move it"
        ]
        return replace(when.when, anchor_us=last_us), notes
    return when.when, notes


def _translated(kind: str, found: Row) -> Translated:
    match kind:
        case "interval":
            return interval(timedelta(**{str(found["period"]): int(found["every"])}), zone="UTC")
        case "crontab":
            return crontab(found, zone=str(found.get("timezone") or "UTC"))
        case "solar":
            place = Solar(
                event=str(found["event"]),
                latitude=float(found["latitude"]),
                longitude=float(found["longitude"]),
            )
            return Translated(when=place)
        case _:
            moment = _moment_us(found["clocked_time"])
            assert moment is not None  # the column is not null
            return clocked(_EPOCH + moment * _MICROSECOND)


def _moment_us(value: Any) -> int | None:
    """A timestamp of the database, in microseconds since 1970 UTC."""
    if value is None or value == "":
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH) // _MICROSECOND


def _json(row: Row, column: str, empty: Any) -> Any:
    value = row.get(column)
    if not value:
        return empty
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ScheduleError(f"{column} is not JSON: {error}") from error
    if not isinstance(found, type(empty)):
        raise ScheduleError(
            f"{column} must be a JSON {'list' if empty == [] else 'object'}, found {str(value)[:80]}"
        )
    return found
