"""Source: the entries of the schedules files, read again when a file changes or somebody asks (SIGHUP).

A file with an error never replaces what runs: its problems are reported, the entries stay.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .entry import Entry
from .errors import ScheduleError
from .files import FileStamp, Loaded, Problem, Severity, is_changed, load_all, stamp
from .files.problem import quoted

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


class FilesSource:
    """Entries of several files; `__call__` is what a beat asks: the entries if they are new, else None."""

    def __init__(
        self,
        files: Sequence[Path],
        *,
        environ: Mapping[str, str] = os.environ,
        refused: Callable[[Sequence[str]], None] = lambda _problems: None,
        taken: Mapping[str, str] | None = None,
    ) -> None:
        """`taken` are names that no file may use, each with the place that has it; `refused` hears why a reload was refused."""
        self._files = files
        self._taken = taken or {}
        self._environ = environ
        self._refused = refused
        self._stamps: tuple[FileStamp, ...] = ()
        self._fresh: Sequence[Entry] | None = None
        self._entries: Sequence[Entry] = ()
        self._serial = 0
        self._digest = ""
        self._look_at = 0.0
        self._asked = False

    @property
    def entries(self) -> Sequence[Entry]:
        """What the files held when they were last read without an error."""
        return self._entries

    @property
    def serial(self) -> int:
        """Orders what several beats have read (decisions B13): `serial:` of the files, else the newest modification time in ns.

        It is that of the entries that were given last or come next, not of a file that was refused; 0 where no file is named.
        """
        return self._serial

    @property
    def digest(self) -> str:
        """The same for the same files, whatever their times say; "" where none was read."""
        return self._digest

    def read(self) -> None:
        """Read for the first time. Raises ScheduleError with all problems, rendered, if a file has an error."""
        if not self._files:
            return  # who names no file changes none of the schedules that files have put into the store
        loaded = self._load()
        errors = [problem.render() for problem in loaded.problems if problem.severity is Severity.ERROR]
        if errors:
            raise ScheduleError("\n".join(errors))
        self._accept(loaded)

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
        if not self._files:
            return
        now = stamp([each.path for each in self._stamps], self._stamps)
        if not asked and not is_changed(self._stamps, now):
            self._stamps = now  # a touched file is not hashed a second time
            return
        loaded = self._load()
        if loaded.is_applicable:
            self._accept(loaded)
            return
        problems = [problem.render() for problem in loaded.problems]
        for problem in problems:
            log.error("%s", problem, extra={"action": "reload_refused"})
        self._refused(problems)

    def _accept(self, loaded: Loaded) -> None:
        self._fresh = self._entries = loaded.entries
        newest_ns = max((each.mtime_ns for each in self._stamps), default=0)
        contents = "".join(sorted(each.digest for each in self._stamps))
        self._digest = hashlib.sha256(contents.encode()).hexdigest()
        self._serial = newest_ns if loaded.serial is None else loaded.serial

    def _load(self) -> Loaded:
        # the stamps of before the reading count: an edit during it must be seen as one
        known = {each.path: each for each in stamp([*self._files, *(each.path for each in self._stamps)])}
        loaded = load_all(self._files, self._environ)
        later = {each.path: each for each in stamp([path for path in loaded.watched if path not in known])}
        self._stamps = tuple(known.get(path) or later[path] for path in loaded.watched)
        return replace(loaded, problems=(*loaded.problems, *self._repeated(loaded)))

    def _repeated(self, loaded: Loaded) -> Iterator[Problem]:
        """Names that the app has already: nobody could tell which of the two is meant."""
        for entry in loaded.entries:
            if entry.name in self._taken:
                file, _, line = entry.source.rpartition(":")
                message = f"duplicate schedule {quoted(entry.name)} (first in {self._taken[entry.name]})"
                yield Problem(
                    file=file,
                    line=int(line),
                    column=1,
                    code="E110",
                    schedule=entry.name,
                    message=message,
                    help="rename one: names count across files and the app",
                )
