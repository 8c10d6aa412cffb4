"""`schedules list`, `show`, `overrides`, `export`: what there is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ....canvas.cli import Options
from ..completing import name_argument, schedule_names
from ..opening import opened
from ..table import clock, table, tz_option, zone_of
from ..wording import canvas_lines, worded

if TYPE_CHECKING:
    from ...view import OverrideView, ScheduleView


@click.command("list")
@click.argument("pattern", default="*", shell_complete=schedule_names)
@click.option("--owner", type=click.Choice(["file", "db", "app"]), help="Only those of this owner.")
@click.option("--state", type=click.Choice(["active", "paused", "disabled", "ended", "removed"]))
@click.option("--tag", help="Only those with this tag.")
@click.option("--all", "with_removed", is_flag=True, help="Those that were removed, too.")
@tz_option
@click.pass_obj
def list_(
    options: Options,
    pattern: str,
    owner: str | None,
    state: str | None,
    tag: str | None,
    with_removed: bool,
    tz: str | None,
) -> None:
    """List the schedules of the store: when they fire, what they send, next time, owner, state. PATTERN may have * and ?."""
    from ...store.registry import Which
    from ...view import to_json

    zone = zone_of(tz)
    everything = with_removed or state == "removed"
    with opened(options) as schedules:
        found = [
            view
            for view in schedules.list(Which.ALL if everything else Which.PRESENT)
            if fnmatchcase(view.name, pattern)
            and owner in (None, view.owner)
            and state in (None, view.state)
            and (tag is None or tag in view.entry.tags)
        ]
    heads = ("name", "when", "what", "next", "owner", "state")
    rows = [
        (view.name, view.when, view.what, clock(view.next, zone), view.owner, state_text(view, zone))
        for view in found
    ]
    options.show(
        [to_json(view) for view in found], table(heads, rows) if rows else "there are no such schedules"
    )


@click.command("show")
@name_argument()
@tz_option
@click.pass_obj
def show_(options: Options, name: str, tz: str | None) -> None:
    """Show one schedule: its definition, what lies on top of it, and what became of its last firings."""
    from ...fragment import yaml_of
    from ...view import to_json

    zone = zone_of(tz)
    with opened(options) as schedules:
        view, history = schedules.get(name), schedules.history(name, 5)
    lines = [
        f"{view.name}  revision {view.rev}, owner {view.owner}{f', {view.source}' if view.source else ''}",
        f"state: {state_text(view, zone)}",
        f"next:  {clock(view.next, zone)}",
        *canvas_lines(view.entry.what, "what:  "),
        "",
        *yaml_of([view.entry]).splitlines()[3:],
    ]
    lines += ["", *_override_lines(view.overrides, zone)] if view.overrides else []
    if history:
        from .history import history_table

        lines += ["", history_table(history, zone)]
    data = {**to_json(view), "history": [to_json(line) for line in history]}
    options.show(data, "\n".join(lines))


@click.command("overrides")
@tz_option
@click.pass_obj
def overrides_(options: Options, tz: str | None) -> None:
    """List what operators laid over schedules: pauses, changes, fire times to skip; by whom, why, until when."""
    from ...view import to_json

    zone = zone_of(tz)
    with opened(options) as schedules:
        found = schedules.overrides()
    lines = [
        line
        for view in found
        for line in (f"{view.name} ({view.owner})", *_override_lines(view.overrides, zone))
    ]
    data = [{"name": view.name, **to_json(each)} for view in found for each in view.overrides]
    options.show(data, "\n".join(lines) or "there are no overrides")


@click.command("export")
@click.argument("pattern", default="*", shell_complete=schedule_names)
@click.option("--owner", type=click.Choice(["file", "db", "app"]), help="Only those of this owner.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: print it.")
@click.pass_obj
def export_(options: Options, pattern: str, owner: str | None, output: Path | None) -> None:
    """Write the schedules of the store as a schedules file, with their overrides applied, but for pauses."""
    from ...fragment import undisturbed, yaml_of
    from ...store.registry import Which

    with opened(options) as schedules:
        standings = schedules.records.entries(Which.PRESENT)
    entries = [
        undisturbed(standing.kept)
        for standing in standings
        if fnmatchcase(standing.kept.name, pattern) and owner in (None, standing.kept.owner.value)
    ]
    text = yaml_of(entries)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"{output}: {len(entries)} schedules", err=True)


def state_text(view: ScheduleView, zone: tzinfo) -> str:
    """The state with who paused it, why and until when."""
    if view.pause is None:
        return view.state
    reason = f": {view.pause.reason}" if view.pause.reason else ""
    until = f" until {clock(view.pause.until, zone)}" if view.pause.until else ""
    return f"paused by {view.pause.actor}{until}{reason}"


def _override_lines(overrides: Sequence[OverrideView], zone: tzinfo) -> list[str]:
    lines = []
    for each in overrides:
        until = f", until {clock(each.until, zone)}" if each.until else ""
        reason = f": {each.reason}" if each.reason else ""
        lines.append(f"  {each.kind} by {each.actor} at {clock(each.at, zone)}{until}{reason}")
        if each.kind == "change":
            lines += [f"    {': '.join(worded(*pair, zone))}" for pair in each.changes.items()]
        if each.kind == "skip":
            from ...view import moment

            lines += [f"    {clock(moment(fire_us), zone)}" for fire_us in each.changes["skip_us"]]
    return lines
