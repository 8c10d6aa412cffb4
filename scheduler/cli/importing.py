"""`backbeat import`: the schedules of Celery, django-celery-beat, RedBeat or a crontab as a schedules file.

Each command writes the file to -o or to standard output, and its report to standard error. Exit code 1: something could not be mapped,
or fires at other times without an explanation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...canvas.cli import EXIT_FAILED, Options
from ..errors import ScheduleError

if TYPE_CHECKING:
    from ..imports.haul import Haul

DAYS = 7
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; default: standard output.",
)
force_option = click.option("--force", is_flag=True, help="Replace the file if it exists.")
zone_option = click.option("--timezone", default=None, help="The zone of crontabs that name none.")


def writing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that all of them have."""
    return output_option(force_option(command))


@click.group("import")
def importing() -> None:
    """Write a schedules.yaml from another scheduler's schedules, and say every difference."""


@importing.command("celery")
@click.option(
    "-A", "--app", help="The Celery app, as celery -A takes it; default: the one before the command."
)
@click.option(
    "--python",
    default=sys.executable,
    help="The interpreter that can import the project and Celery; default: this one.",
)
@click.option(
    "--from", "start", help="Compare seven days from this moment (ISO, UTC without an offset); default: now."
)
@writing
@click.pass_obj
def celery(
    options: Options, app: str | None, python: str, start: str | None, output: Path | None, force: bool
) -> None:
    """The beat_schedule of a Celery project. Its own fire times of seven days are compared with ours."""
    from ..imports.celery import Project, read_celery

    name = app or options.app
    if not name:
        raise click.UsageError("which Celery app? Write backbeat import celery -A proj")
    from_us = _moment_us(start)
    to_us = from_us + DAYS * 86_400_000_000
    haul = read_celery(Project(app=name, python=python, from_us=from_us, to_us=to_us))
    _finish(options, haul, output, force=force, span_us=(from_us, to_us))


@importing.command("django")
@click.option("--database", required=True, help="postgresql://user@host/db, mysql://..., sqlite:///file.")
@writing
@click.pass_obj
def django(options: Options, database: str, output: Path | None, force: bool) -> None:
    """The tables of django-celery-beat; the database is only read."""
    from ..imports.django import read_django

    _finish(options, read_django(database), output, force=force)


@importing.command("redbeat")
@click.option("--url", required=True, help="redis://host/db, as redbeat_redis_url.")
@click.option("--prefix", default="redbeat:", show_default=True, help="As redbeat_key_prefix.")
@zone_option
@writing
@click.pass_obj
def redbeat(
    options: Options, url: str, prefix: str, timezone: str | None, output: Path | None, force: bool
) -> None:
    """The entries that RedBeat keeps in Redis; they are only read."""
    from ..imports.redbeat import read_redbeat
    from ..zone import zone_named

    zone = zone_named(timezone or "UTC").key
    _finish(options, read_redbeat(url, prefix, zone), output, force=force)


@importing.command("crontab")
@click.argument("file", type=click.File(encoding="utf-8", errors="replace"))
@click.option("--task", required=True, help="The task that gets each command as its argument.")
@click.option(
    "--system", "is_system", is_flag=True, help="A user stands before each command, as in /etc/crontab."
)
@zone_option
@writing
@click.pass_obj
def crontab(
    options: Options,
    file: Any,
    task: str,
    is_system: bool,
    timezone: str | None,
    output: Path | None,
    force: bool,
) -> None:
    """The lines of a crontab FILE (- for standard input); each becomes a schedule of one task."""
    from ..imports.crontab import read_crontab
    from ..zone import zone_named

    zone = zone_named(timezone or _host_zone()).key
    _finish(options, read_crontab(iter(file), task=task, zone=zone, is_system=is_system), output, force=force)


def _finish(
    options: Options, haul: Haul, output: Path | None, *, force: bool, span_us: tuple[int, int] | None = None
) -> None:
    """Write the file and the report; the exit code says whether a human should look."""
    from ..imports.comparison import compare
    from ..imports.page import page_of
    from ..imports.report import Report

    page = page_of(haul)
    comparisons = [compare(draft) for draft in page.drafts] if span_us is not None else []
    report = Report(
        origin=haul.origin,
        page=page,
        remarks=haul.remarks,
        comparisons=comparisons,
        span_us=span_us or (0, 0),
    )
    if output is not None:
        _write(output, page.text, force=force)
    if options.as_json:
        options.show(report.data() | ({} if output is not None else {"yaml": page.text}), "")
    else:
        if output is None:
            click.echo(page.text, nl=False)
        click.echo(report.text(), err=True)
    if not report.is_clean:
        sys.exit(EXIT_FAILED)


def _write(output: Path, text: str, *, force: bool) -> None:
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ScheduleError(f"{output} exists", help="--force replaces it") from None
    except OSError as error:
        raise ScheduleError(f"{output} cannot be written: {error.strerror or error}") from error


def _moment_us(text: str | None) -> int:
    if text is None:
        return int(datetime.now(UTC).timestamp()) * 1_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ScheduleError(f'"{text}" is not a moment', help="2026-03-27T00:00") from error
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * 1_000_000


def _host_zone() -> str:
    """The zone in which this host's cron works, where its name can be known; else UTC."""
    named = os.environ.get("TZ", "").lstrip(":")
    if named:
        return named
    _, found, name = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")
    return name if found else "UTC"
