"""`backbeat events`: show what workers tell, as it comes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from .cli import LIMIT, Options


@click.command()
@click.option("-d", "--dump", is_flag=True, help="Celery's word for what this command does anyway.")
@click.option("--enable", is_flag=True, help="Have workers tell of tasks first (they do with -E).")
@click.option("--limit", type=click.IntRange(1), help="End after so many events.")
@click.option("-t", "--timeout", type=LIMIT, help="End when none came for so many seconds.")
@click.pass_obj
def events(options: Options, dump: bool, enable: bool, limit: int | None, timeout: float | None) -> None:  # noqa: ARG001 - see there
    """Show what workers tell of themselves and of tasks, a line each; with --json as they are. Ctrl-C ends it."""
    app = options.load_app()
    with app.events.Receiver() as receiver:
        receiver.listen()
        if enable:
            app.control.enable_events()
        if not options.quiet:
            click.echo(
                "events, as they come; workers tell of tasks if they run with -E, or with --enable here",
                err=True,
            )
        try:
            for event in receiver.itercapture(limit, timeout):
                click.echo(json.dumps(event) if options.as_json else line_of(event))
        except TimeoutError:
            return


def line_of(event: dict[str, Any]) -> str:
    """An event in one line: when, who, what."""
    at = datetime.fromtimestamp(float(event.get("timestamp") or 0), UTC).strftime("%H:%M:%S.%f")[:-3]
    known = {name: value for name, value in event.items() if name not in _EVERYWHERE and value is not None}
    uuid = known.pop("uuid", None)
    name = known.pop("name", None)
    task = f" {name or ''}[{uuid}]" if uuid else ""
    more = " ".join(
        f"{key}={str(value).splitlines()[-1] if value else value}" for key, value in known.items()
    )
    return f"{at} {event.get('hostname')} {event['type']}{task} {more}".rstrip()


_EVERYWHERE = (
    "type",
    "hostname",
    "timestamp",
    "utcoffset",
    "pid",
    "clock",
    "traceback",
    "sw_ident",
    "sw_ver",
    "sw_sys",
)
