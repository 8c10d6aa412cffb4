"""`schedules diff`: what a reload of the files would change in the store, and what operators laid over what files say."""

from __future__ import annotations

import json
import sys
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ....canvas.cli import EXIT_FAILED, Options
from ..files import chosen_files, files_option
from ..opening import opened
from ..table import clock, tz_option, zone_of
from ..wording import changed

if TYPE_CHECKING:
    from ...edit import Edit, KeptEntry


@click.command("diff")
@files_option
@click.option("--exit-code", is_flag=True, help="Exit with 1 when there is a difference.")
@tz_option
@click.pass_obj
def diff_(options: Options, files: tuple[Path, ...], exit_code: bool, tz: str | None) -> None:
    """Compare schedules files with the store: what a reload would add, change and remove, with the next times.

    Nothing is changed. A schedule that a file and an operator both have a say in is shown with both.
    """
    from ...edit import edits
    from ...entry import Owner
    from ...source import FilesSource
    from ...store.registry import Which
    from ...view import OverrideView, moment, to_json

    zone = zone_of(tz)
    source = FilesSource(chosen_files(files))
    source.read()
    wanted = source() or ()
    with opened(options) as schedules:
        kept = {standing.kept.name: standing.kept for standing in schedules.records.entries(Which.ALL)}
        now_us = schedules.registry.now_us()
    wish = edits(kept, wanted, Owner.FILE, now_us)
    changes = [_change(kept.get(edit.after.name), edit, now_us) for edit in wish.edits if _counts(edit)]
    hidden = [
        change for edit in wish.edits if (change := _hidden(kept.get(edit.after.name), edit)) is not None
    ]
    overrides = [
        {"name": each.name, **to_json(OverrideView.of(override))}
        for _, each in sorted(kept.items())
        for override in each.overrides
        if not each.removed
    ]
    lines = [line for change in changes for line in _lines(change, zone)]
    for each in hidden:
        lines.append(f"~ {each['name']}: the file says something else, below what an operator laid over it")
        lines += changed(each["before"], each["after"], zone)
    lines += [f"! {name}: belongs to another owner, and is not changed by the file" for name in wish.foreign]
    for each in overrides:
        lines.append(
            f"^ {each['name']}: {each['kind']} by {each['actor']} lies on top{_until(each['until'])}"
        )
        said = _parsed(kept[each["name"]].definition)
        values = each["changes"] or {}
        lines += changed({key: said[key] for key in values if key in said}, values, zone)
    data = {
        "changes": changes,
        "hidden": hidden,
        "foreign": wish.foreign,
        "overrides": overrides,
        "now": moment(now_us),
    }
    options.show(data, "\n".join(lines) or "no difference")
    if exit_code and (changes or hidden or wish.foreign):
        sys.exit(EXIT_FAILED)


def _counts(edit: Edit) -> bool:
    from ...edit import EditKind

    return edit.kind is not EditKind.MOVED


def _hidden(before: KeptEntry | None, edit: Edit) -> dict[str, Any] | None:
    """What a file says anew and an override has the last word about; None for nothing."""
    if before is None or not before.overrides or before.definition == edit.after.definition:
        return None
    covered = {key for override in before.overrides for key in override.changes}
    old, new = (
        {key: value for key, value in _parsed(text).items() if key in covered}
        for text in (before.definition, edit.after.definition)
    )
    return {"name": edit.after.name, **_difference(old, new)} if old != new else None


def _parsed(text: str) -> dict[str, Any]:
    """The keys of an entry; none for a text that is damaged."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {
        "before": {key: value for key, value in old.items() if key not in new or new[key] != value},
        "after": {key: value for key, value in new.items() if key not in old or old[key] != value},
    }


def _change(before: KeptEntry | None, edit: Edit, now_us: int) -> dict[str, Any]:
    was = None if before is None or before.removed else before
    old = {} if was is None else _parsed(was.spec)
    new = {} if edit.after.removed else json.loads(edit.after.spec)
    return {
        "name": edit.after.name,
        "kind": edit.kind.value,
        **_difference(old, new),
        "next_before": None if was is None else _next(was, now_us),
        "next_after": None if edit.after.removed else _next(edit.after, now_us),
    }


def _next(kept: KeptEntry, now_us: int) -> datetime | None:
    """The next fire time; None where there is none, and for a row that is damaged."""
    from ...store.base import SPEC_FAULTS
    from ...view import moment_or_none, next_fire_us

    try:
        return moment_or_none(next_fire_us(kept.entry(), now_us))
    except SPEC_FAULTS:
        return None


def _lines(change: dict[str, Any], zone: tzinfo) -> list[str]:
    sign = {"added": "+", "restored": "+", "removed": "-"}.get(change["kind"], "~")
    times = f"next {clock(change['next_before'], zone)} -> {clock(change['next_after'], zone)}"
    lines = [f"{sign} {change['name']}: {change['kind']}, {times}"]
    if sign == "~":
        lines += changed(change["before"], change["after"], zone)
    return lines


def _until(until: str | None) -> str:
    return f" until {until}" if until else ""
