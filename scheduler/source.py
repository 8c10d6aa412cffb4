"""Source: the entries of the schedules files, read again when a file changes or somebody asks (SIGHUP).

A file with an error never replaces what runs: its problems are reported, the entries stay. Reading takes some 100 us an entry, seconds
for a large file, so that it has a thread of its own (`in_thread`), and what was not edited comes back as the same object: who applies
the entries looks at the others only. An entry that merely stands on another line is not edited, and comes back as a new object.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .edit import spec_text
from .entry import Entry
from .errors import ScheduleError
from .files import Definition, FileStamp, Loaded, Problem, Severity, is_changed, is_touched, load_all, stamp
from .files.problem import quoted
from .files.reading import UNREADABLE

log = logging.getLogger(__name__)

UNREADABLE_SECONDS = 30.0
"""After so long a file that is there and could not be read is tried again, though nobody touched it."""
SWITCH_SECONDS = 0.0005
"""Of the interpreter, while files are read."""

Start = Callable[[Callable[[], None]], None]
"""Runs a job, now or in a while."""


def at_once(job: Callable[[], None]) -> None:
    """Run a job here and now."""
    job()


def in_thread(job: Callable[[], None]) -> None:
    """Run a job in a daemon thread: a beat that stops does not wait for it.

    Meanwhile the other threads get the interpreter within half a millisecond, and no garbage is collected: over the objects of a
    hundred thousand entries that would stop all threads for a second. Nor is it afterwards: what was read lives long.
    """

    def run() -> None:
        interval, collects = sys.getswitchinterval(), gc.isenabled()
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.disable()
        try:
            job()
        finally:
            sys.setswitchinterval(interval)
            if collects:
                gc.freeze()
                gc.enable()

    threading.Thread(target=run, name="beat-files", daemon=True).start()


@dataclass(frozen=True, slots=True)
class _Found:
    """What a reading came to. `entries` None: they stay."""

    stamps: tuple[FileStamp, ...]
    entries: tuple[Entry, ...] | None = None
    serial: int | None = None
    problems: tuple[Problem, ...] = ()


class FilesSource:
    """Entries of several files; `__call__` is what a beat asks: the entries if they are new, else None.

    All of it belongs to one thread, except `ask`; `start` may run a job in another one, which changes nothing here, and while it runs nothing
    that it looks at is changed.
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        environ: Mapping[str, str] = os.environ,
        refused: Callable[[Sequence[str]], None] = lambda _problems: None,
        taken: Mapping[str, str] | None = None,
        start: Start = at_once,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """`taken` are names that no file may use, each with the place that has it; `refused` hears why a reload was refused;
        `ready` is called, in the job's thread, when it is worth asking again."""
        self._files = files
        self._taken = taken or {}
        self._environ = environ
        self._refused = refused
        self._start = start
        self._ready = ready
        self._stamps: tuple[FileStamp, ...] = ()
        self._fresh: Sequence[Entry] | None = None
        self._entries: Sequence[Entry] = ()
        self._serial = 0
        self._digest = ""
        self._asked = False
        self._again_at: float | None = None
        self._is_reading = False
        self._results: queue.SimpleQueue[_Found | Exception] = queue.SimpleQueue()

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
        loaded, self._stamps = self._load()
        errors = [problem.render() for problem in loaded.problems if problem.severity is Severity.ERROR]
        if errors:
            raise ScheduleError("\n".join(errors))
        self._accept(loaded.entries, loaded.serial)

    def ask(self) -> None:
        """Read again at the next look, changed or not, and give all entries anew. Safe in a signal handler."""
        self._asked = True

    def __call__(self) -> Sequence[Entry] | None:
        """Raises what a reading raised, once; it is tried again when a file is touched, or somebody asks."""
        if not self._is_reading and self._fresh is None:
            self._look()
        if self._is_reading and not self._results.empty():
            self._is_reading = False
            self._take_up(self._results.get())
        fresh, self._fresh = self._fresh, None
        return fresh

    def _look(self) -> None:
        asked, self._asked = self._asked, False
        again = self._again_at is not None and time.monotonic() >= self._again_at
        if self._files and (asked or again or is_touched(self._stamps)):
            try:
                self._start(lambda: self._read_again(anew=asked, again=again))
            except BaseException:
                self._asked = self._asked or asked  # there may be no thread to be had now
                raise
            self._is_reading = True

    def _read_again(self, *, anew: bool, again: bool) -> None:
        self._results.put(self._found(anew=anew, again=again))
        self._ready()

    def _found(self, *, anew: bool, again: bool) -> _Found | Exception:
        try:
            now = stamp([each.path for each in self._stamps], self._stamps)
            if not anew and not again and not is_changed(self._stamps, now):
                return _Found(now)  # a touched file is not hashed a second time
            loaded, stamps = self._load()
            if not loaded.is_applicable:
                return _Found(stamps, problems=loaded.problems)
            serial, definitions = loaded.serial, list(reversed(loaded.definitions))
            del loaded
            entries = _compared(() if anew else self._entries, definitions)
            return _Found(stamps, entries, serial)
        except Exception as fault:  # noqa: BLE001 - it is raised where the entries are asked for
            return fault

    def _take_up(self, found: _Found | Exception) -> None:
        if isinstance(found, Exception):
            raise found
        self._stamps = found.stamps
        # there may have been no descriptor left, or an error of the disk, which touches nothing when it passes
        is_unreadable = any(problem.message.startswith(UNREADABLE) for problem in found.problems)
        self._again_at = time.monotonic() + UNREADABLE_SECONDS if is_unreadable else None
        if found.entries is not None:
            self._accept(found.entries, found.serial)
        if found.problems:
            problems = [problem.render() for problem in found.problems]
            for problem in problems:
                log.error("%s", problem, extra={"action": "reload_refused"})
            self._refused(problems)

    def _accept(self, entries: Sequence[Entry], serial: int | None) -> None:
        self._fresh = self._entries = entries
        newest_ns = max((each.mtime_ns for each in self._stamps), default=0)
        contents = "".join(sorted(each.digest for each in self._stamps))
        self._digest = hashlib.sha256(contents.encode()).hexdigest()
        self._serial = newest_ns if serial is None else serial

    def _load(self) -> tuple[Loaded, tuple[FileStamp, ...]]:
        # the stamps of before the reading count: an edit during it must be seen as one
        known = {each.path: each for each in stamp([*self._files, *(each.path for each in self._stamps)])}
        loaded = load_all(self._files, self._environ)
        later = {each.path: each for each in stamp([path for path in loaded.watched if path not in known])}
        stamps = tuple(known.get(path) or later[path] for path in loaded.watched)
        return replace(loaded, problems=(*loaded.problems, *self._repeated(loaded))), stamps

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


def _compared(before: Sequence[Entry], backwards: list[Definition]) -> tuple[Entry, ...]:
    """The entries of `backwards`, of which nothing is left, with what is as it was as the object that it was in `before`.

    They are let go of one by one: a hundred thousand at once would stop all threads.
    """
    known = {entry.name: entry for entry in before}
    entries = []
    while backwards:
        entry = backwards.pop().entry
        old = known.get(entry.name)
        is_kept = old is not None and old.source == entry.source and spec_text(old) == spec_text(entry)
        entries.append(old if old is not None and is_kept else entry)
    return tuple(entries)
