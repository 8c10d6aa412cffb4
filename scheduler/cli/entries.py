"""Entries: those that a looking command (`next`, `explain`, `simulate`) speaks about, from files or from the store."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from ...canvas.cli import Options
from ..errors import ScheduleError
from .files import chosen_files
from .opening import opened

if TYPE_CHECKING:
    from ..entry import Entry
    from ..phase import Phase


@dataclass(frozen=True, slots=True)
class Shown:
    """Entries by name, how often each has run where that is known, and what those of the store will be by and by."""

    entries: Mapping[str, Entry]
    runs: Mapping[str, int]
    phases: Mapping[str, Sequence[Phase]] = field(default_factory=dict)

    def named(self, names: Sequence[str]) -> list[Entry]:
        """Those of these names, or all. Raises ScheduleError for a name that is not there."""
        for name in names:
            if name not in self.entries:
                known = ", ".join(sorted(self.entries)) or "none"
                raise ScheduleError(f"there is no schedule {name!r}; there are: {known}")
        return [self.entries[name] for name in names] if names else list(self.entries.values())

    def coming(self, names: Sequence[str]) -> list[Entry | Phase]:
        """The same, for `occurrences`."""
        return [phase for entry in self.named(names) for phase in self.phases.get(entry.name, [entry])]


def shown_entries(options: Options, files: tuple[Path, ...], *, from_store: bool = False) -> Shown:
    """The entries of the files and, if one was named with -A, of the app; with `from_store` those of the store.

    Raises ScheduleError for files with errors, and for a name that app and file share; ImproperlyConfigured for an app that cannot
    be loaded; StoreRefused and StoreDown for a store that cannot be used.
    """
    if from_store:
        return _of_store(options)
    from ..files import load

    entries = {entry.name: entry for entry in _of_app(options)}
    of_app = frozenset(entries)
    for path in chosen_files(files):
        loaded = load(path, os.environ)
        if not loaded.is_applicable:
            raise ScheduleError("\n".join(problem.render() for problem in loaded.problems))
        twice = [entry for entry in loaded.entries if entry.name in of_app]
        if twice:
            raise ScheduleError(
                f"{twice[0].source}: {twice[0].name}: duplicate schedule (first in {entries[twice[0].name].source})"
            )
        entries |= {entry.name: entry for entry in loaded.entries}
    return Shown(entries, {})


def _of_app(options: Options) -> tuple[Entry, ...]:
    from ..app_source import read_app

    return read_app(options.load_app()) if options.app else ()


def _of_store(options: Options) -> Shown:
    from ..phase import phases_of

    with opened(options) as schedules:
        known = {each.kept.name: each for each in schedules.records.entries()}
    return Shown(
        {name: each.entry for name, each in known.items()},
        {name: each.kept.runs for name, each in known.items()},
        {name: phases_of(each.kept) for name, each in known.items() if each.kept.overrides},
    )


def instant_us(text: str, zone: tzinfo) -> int:
    """A time on the command line: ISO text, in `zone` unless it names an offset; `now`, or `+2h` from now. Raises ScheduleError."""
    import time

    from ..duration import parse_duration

    now_us = time.time_ns() // 1000
    if text == "now":
        return now_us
    if text.startswith(("+", "-")):
        length_us = parse_duration(text[1:]) // timedelta(microseconds=1)
        return now_us + (length_us if text[0] == "+" else -length_us)
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        raise ScheduleError(
            f'"{text}" is not a time', help="2026-12-01T03:00, now, or +2h from now"
        ) from None
    aware = local if local.tzinfo is not None else local.replace(tzinfo=zone)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def iso(time_us: int, zone: tzinfo) -> str:
    """An instant as text with its offset."""
    from ..view import in_zone, moment

    return in_zone(moment(time_us), zone).isoformat()
