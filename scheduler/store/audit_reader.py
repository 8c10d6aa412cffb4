"""AuditReader: what the self-audit reads: entries by pages of names, and their rows of a window of time, on connections of its own.

It only reads, takes no lock, and no transaction of it lasts longer than one question, so that it stands in nobody's way: not in that of
a writer on SQLite, where a long read keeps the log from being cut, nor in that of the vacuum on PostgreSQL. What it reads in two
questions may be of two instants; the auditor asks again before it believes a difference. A memory store forgets with its process,
and has no audit.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, MetaData, and_, func, or_, select
from sqlalchemy.exc import SQLAlchemyError

from ..entry import Entry
from ..firing import FiringKind
from ..self_audit import Past, Range, Row, Version
from .base import StoreDown
from .tables import Tables


@dataclass(frozen=True, slots=True)
class KeptPast:
    """An entry's past as it is stored: its `texts` are (revision, decided, spec), not parsed yet, as that takes its time."""

    name: str
    rev: int
    cursor_us: int
    runs: int
    texts: tuple[tuple[int, int, str], ...]

    def past(self) -> Past:
        """Parsed. Raises one of SPEC_FAULTS for a spec that is damaged, of another version, or not there."""
        versions = [
            Version(rev, decided_us, Entry.from_spec(self.name, json.loads(spec)))
            for rev, decided_us, spec in self.texts
            if 0 < rev <= self.rev  # below zero: a payload of one run alone (registry_sql.py)
        ]
        if not versions:
            raise LookupError(f"entry {self.name!r} has no revision")
        return Past(self.name, self.cursor_us, self.runs, tuple(versions))


class AuditReader:
    """Over an engine of its own. Thread-safe. Every method raises StoreDown when the store cannot be asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tables = Tables.on(MetaData())

    def page(self, after: str, limit: int, from_us: int) -> list[KeptPast]:
        """The next `limit` entries by name, with the revisions that were in force after `from_us`; removed ones, too."""
        entry, revision = self._tables.entry.c, self._tables.revision.c
        older = self._tables.revision.alias().c
        base = select(func.max(older.rev)).where(older.entry == revision.entry, older.decided_us <= from_us)
        which = or_(revision.decided_us > from_us, revision.rev == base.scalar_subquery())
        with self._read() as conn:
            found = conn.execute(
                select(entry.name, entry.rev, entry.cursor_us, entry.runs)
                .where(entry.name > after)
                .order_by(entry.name)
                .limit(limit)
            ).all()
            if not found:
                return []
            inside = _among(revision.entry, [found[0].name, found[-1].name])
            texts = conn.execute(
                select(revision.entry, revision.rev, revision.decided_us, revision.spec)
                .where(inside, which)
                .order_by(revision.entry, revision.rev)
            ).all()
        versions: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        for text in texts:
            versions[text.entry].append((text.rev, text.decided_us, text.spec))
        return [
            KeptPast(row.name, row.rev, row.cursor_us, row.runs, tuple(versions[row.name])) for row in found
        ]

    def rows(self, names: Sequence[str], from_us: int, until_us: int, limit: int) -> dict[str, list[Row]]:
        """Regular firings with fire times in (from_us, until_us] of the entries of a page, the oldest `limit` of them."""
        firing = self._tables.firing.c
        inside = and_(
            firing.due_us > from_us,
            firing.due_us <= until_us,
            _among(firing.entry, names),
            firing.kind == FiringKind.REGULAR.value,
        )
        question = select(firing.entry, firing.due_us, firing.rev).where(inside).order_by(firing.due_us)
        with self._read() as conn:
            found: dict[str, list[Row]] = defaultdict(list)
            for entry, due_us, rev in conn.execute(question.limit(limit)).all():
                found[entry].append(Row(due_us, rev))
        return found

    def skips(self, names: Sequence[str], from_us: int, until_us: int) -> dict[str, list[Range]]:
        """Skip records that begin in (from_us, until_us], of the entries of a page."""
        skip = self._tables.skip.c
        inside = and_(skip.from_us > from_us, skip.from_us <= until_us)
        with self._read() as conn:
            return self._ranges(conn, names, inside)

    def skips_across(self, names: Sequence[str], from_us: int) -> dict[str, list[Range]]:
        """Skip records that begin at or before `from_us` and end after it. No index helps: to be asked where something is missing."""
        skip = self._tables.skip.c
        with self._read() as conn:
            return self._ranges(conn, names, and_(skip.from_us <= from_us, skip.to_us > from_us))

    def close(self) -> None:
        """Give connections back."""
        self._engine.dispose()

    def _ranges(
        self, conn: Connection, names: Sequence[str], inside: ColumnElement[Any]
    ) -> dict[str, list[Range]]:
        skip = self._tables.skip.c
        question = select(skip.entry, skip.from_us, skip.to_us, skip.rev)
        which = and_(inside, _among(skip.entry, names))
        found: dict[str, list[Range]] = defaultdict(list)
        for entry, from_us, to_us, rev in conn.execute(question.where(which)).all():
            found[entry].append(Range(from_us, to_us, rev))
        return found

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as conn:
                yield conn
        except SQLAlchemyError as cause:
            raise StoreDown(f"the store does not answer the audit: {cause}") from cause


def _among(column: ColumnElement[str], names: Sequence[str]) -> ColumnElement[bool]:
    """From the first to the last of names in the order of the database.

    Not BETWEEN: MariaDB compares its two ends by the connection's collation, where "a" is "Ä", and then looks for the first alone.
    """
    return and_(column >= names[0], column <= names[-1])
