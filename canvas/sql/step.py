"""Step: one of the things that a transaction writes. Several steps that change different rows are given to the database at once (Dialect.write)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct
from sqlalchemy import Table

from .ready import Values


class Add(Struct, frozen=True):
    """Write rows, in their order, that are not there. All rows have the same columns."""

    table: Table
    rows: Sequence[Values]


class Missing(Struct, frozen=True):
    """Write rows, in their order, but those whose primary key is there; hides no other error. All rows have the same columns."""

    table: Table
    rows: Sequence[Values]


class Over(Struct, frozen=True):
    """Write rows, in their order; where the primary key is there, into the row that has it. All rows have the same columns."""

    table: Table
    rows: Sequence[Values]


class Drop(Struct, frozen=True):
    """Delete messages, by their numbers, if `holder` holds them."""

    holder: str
    seqs: Collection[int]


class Tell(Struct, frozen=True):
    """Tell those who listen, once the transaction is committed; where the database does such a thing."""

    channel: str
    payloads: Collection[str]


Rows = Add | Missing | Over
Step = Rows | Drop | Tell
