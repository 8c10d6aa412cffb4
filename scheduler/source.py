"""Source: the entries of the schedules files, read again when a file changes or somebody asks (SIGHUP).

A file with an error never replaces what runs: its problems are reported, the entries stay.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .entry import Entry
from .errors import ScheduleError
from .files import FileStamp, Loaded, Severity, is_changed, load, stamp

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0


class FilesSource:
    """Entries of several files; `__call__` is what a beat asks: the entries if they are new, else None."""

    def __init__(
        self,
        files: Sequence[Path],
        *,
        environ: Mapping[str, str] = os.environ,
        refused: Callable[[Sequence[str]], None] = lambda _problems: None,
    ) -> None:
        self._files = files
        self._environ = environ
        self._refused = refused
        self._stamps: tuple[FileStamp, ...] = ()
        self._fresh: Sequence[Entry] | None = None
        self._look_at = 0.0
        self._asked = False

    def read(self) -> None:
        """Read for the first time. Raises ScheduleError with all problems, rendered, if a file has an error."""
        if not self._files:
            return  # who names no file changes none of the schedules that files have put into the store
        loaded = self._load()
        errors = [problem.render() for problem in loaded.problems if problem.severity is Severity.ERROR]
        errors += repeated(loaded.entries)
        if errors:
            raise ScheduleError("\n".join(errors))
        self._fresh = loaded.entries

    def ask(self) -> None:
        """Read again at the next look, changed or not. Safe in a signal handler."""
        self._asked = True

    def __call__(self) -> Sequence[Entry] | None:
        if self._fresh is None and (self._asked or time.monotonic() >= self._look_at):
            self._look()
        fresh, self._fresh = self._fresh, None
        return fresh

    def _look(self) -> None:
        asked, self._asked = self._asked, False
        self._look_at = time.monotonic() + LOOK_SECONDS
        now = stamp([each.path for each in self._stamps], self._stamps)
        if not asked and not is_changed(self._stamps, now):
            return
        loaded = self._load()
        twice = repeated(loaded.entries)
        if loaded.is_applicable and not twice:
            self._fresh = loaded.entries
            return
        problems = [*(problem.render() for problem in loaded.problems), *twice]
        for problem in problems:
            log.error("%s", problem, extra={"action": "reload_refused"})
        self._refused(problems)

    def _load(self) -> Loaded:
        # the stamps of before the reading count: an edit during it must be seen as one
        known = {each.path: each for each in stamp([*self._files, *(each.path for each in self._stamps)])}
        parts = [load(path, self._environ) for path in self._files]
        watched = [path for part in parts for path in part.watched]
        self._stamps = tuple(known.get(each.path, each) for each in stamp(watched))
        return Loaded(
            entries=tuple(entry for part in parts for entry in part.entries),
            problems=tuple(problem for part in parts for problem in part.problems),
            watched=tuple(path for part in parts for path in part.watched),
        )


def repeated(entries: Sequence[Entry]) -> list[str]:
    """Names that stand in more than one file, as errors with both places; inside one file the loader sees them."""
    first: dict[str, Entry] = {}
    errors = []
    for entry in entries:
        other = first.setdefault(entry.name, entry)
        if other is not entry:
            errors.append(
                f"{entry.source}: error E110: {entry.name}: duplicate schedule (first in {other.source})"
            )
    return errors
