"""Search: which runs somebody wants to see, as pages keep it in their URL and commands in their options.

Lists are paged by key: the next page holds what comes after the last run of this one, however many were added meanwhile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import Table, and_, or_
from sqlalchemy.sql.expression import ColumnElement


class Key(NamedTuple):
    """The place of a run in all lists."""

    at_us: int
    id: str

    @classmethod
    def parse(cls, text: str) -> Key | None:
        """Of its text, `MICROSECONDS-ID`; None for anything else."""
        at, _, id_ = text.partition("-")
        return cls(int(at), id_) if at.isascii() and at.isdecimal() and len(at) < 19 and id_ else None  # noqa: PLR2004 - what a BIGINT holds

    def __str__(self) -> str:
        return f"{self.at_us}-{self.id}"


class Search(Struct, frozen=True, kw_only=True):
    """Each field that is set narrows; of `states` any fits. `id` is the beginning of an id, `text` a part of arguments, error or result."""

    schedule: str = ""
    task: str = ""
    states: tuple[str, ...] = ()
    worker: str = ""
    queue: str = ""
    root: str = ""
    id: str = ""
    text: str = ""
    since_us: int | None = None
    until_us: int | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == Search()


def clauses(run: Table, search: Search, after: Key | None = None) -> list[ColumnElement[bool]]:
    """The conditions on rows of `run`. What is searched for is text, never a pattern."""
    column = run.c
    equal = {
        column.entry: search.schedule,
        column.name: search.task,
        column.worker: search.worker,
        column.queue: search.queue,
        column.root_id: search.root,
    }
    found: list[ColumnElement[bool]] = [each == value for each, value in equal.items() if value]
    if search.states:
        found.append(column.state.in_(search.states))
    if search.id:
        found.append(column.id.startswith(search.id, autoescape=True))
    if search.text:
        where = (column.args, column.kwargs, column.error, column.result)
        found.append(or_(*(each.contains(search.text, autoescape=True) for each in where)))
    if search.since_us is not None:
        found.append(column.at_us >= search.since_us)
    if search.until_us is not None:
        found.append(column.at_us < search.until_us)
    if after is not None:
        found.append(or_(column.at_us < after.at_us, and_(column.at_us == after.at_us, column.id < after.id)))
    return found


def parameters(search: Search) -> dict[str, Any]:
    """The fields that are set, for a URL."""
    return {name: value for name in search.__struct_fields__ if (value := getattr(search, name))}
