"""Rows: entries on their way into bb_entry and bb_revision, and back; firings on their way out of bb_firing."""

from __future__ import annotations

import json
import logging
from typing import Any

from sqlalchemy import BindParameter, Connection, RowMapping, bindparam

from ..edit import Edit, EditKind, Edits, KeptEntry
from ..entry import Entry, Owner
from ..firing import Firing, FiringKind, hold_us, terms_of
from ..likeness import abridged
from ..notice import Notice
from ..override import Override, overrides_text, parse_overrides
from .base import SPEC_FAULTS
from .deliveries import NoticeState
from .statements import Statements

log = logging.getLogger(__name__)


def kept_entry(row: RowMapping) -> KeptEntry:
    """A row of `Statements.load_entries`. A row that somebody damaged stands for itself alone: what cannot be read of it is passed over."""
    return KeptEntry(
        name=row["name"],
        owner=_owner(row["name"], row["owner"]),
        source=row["source"],
        spec=row["spec"],
        rev=row["rev"],
        cursor_us=row["cursor_us"],
        removed=bool(row["removed"]),
        runs=row["runs"],
        defined=row["defined"] or "",
        overrides=_overrides(row["name"], row["override"]),
    )


def _owner(name: str, text: str) -> Owner:
    """An owner that is none is the store's own: no file and no app takes such an entry for its own and removes it."""
    try:
        return Owner(text)
    except ValueError:
        _tell(name, f"its owner is {text!r}")
        return Owner.DB


def _overrides(name: str, text: str | None) -> tuple[Override, ...]:
    try:
        return parse_overrides(text)
    except SPEC_FAULTS as fault:
        _tell(name, f"its overrides cannot be read: {fault}")
        return ()


def _tell(name: str, what: str) -> None:
    log.error(
        "The row of entry %s is damaged: %s", name, what, extra={"action": "row_damaged", "entry": name}
    )


def loaded_firing(row: RowMapping, entry: Entry) -> Firing:
    """A row of `Statements.load_open`, given its entry as it was at the row's revision."""
    kind = FiringKind(row["kind"])
    firing = unreadable_firing(row)
    held_us = hold_us(entry, firing.due_us) if kind is FiringKind.REGULAR else 0
    return firing._replace(payload=entry.what, terms=terms_of(entry, kind), hold_us=held_us)


def unreadable_firing(row: RowMapping) -> Firing:
    """The same row when its entry cannot be read: there is nothing to send."""
    return Firing(
        entry=row["entry"],
        due_us=row["due_us"],
        kind=FiringKind(row["kind"]),
        key=row["key"],
        task_id=row["task_id"],
        payload={},
        rev=row["rev"],
        batch_id=row["batch_id"],
        cancels=row["cancels"] or "",
    )


def entry_of_row(row: RowMapping) -> Entry:
    """The entry of a row of `Statements.load_open`. Raises SPEC_FAULTS.

    A schedule that this version does not know does no harm here: what is decided can be sent without it, but for its delay.
    """
    try:
        return abridged(row["entry"], row["spec"]).entry()
    except SPEC_FAULTS:
        spec = json.loads(row["spec"])
        plain = {"when": {"at_us": [row["due_us"]]}, "jitter_us": 0, "spread_us": 0}
        return Entry.from_spec(row["entry"], {**spec, **plain})


def write_entries(
    conn: Connection, statements: Statements, wish: Edits, *, changed: int, now_us: int
) -> None:
    """Write the entries as they shall be. A file has thousands: three statements, whatever their number."""
    tables = statements.tables
    rows = [_entry_row(edit, changed) for edit in wish.edits]
    added = [row for row, edit in zip(rows, wish.edits, strict=True) if edit.kind is EditKind.ADDED]
    others = [row for row, edit in zip(rows, wish.edits, strict=True) if edit.kind is not EditKind.ADDED]
    revisions = [
        {"entry": edit.after.name, "rev": edit.after.rev, "decided_us": now_us, "spec": edit.after.spec}
        for edit in wish.edits
    ]
    # First the revisions: a removed or moved entry keeps its own, which is there already.
    conn.execute(statements.insert_new(tables.revision), revisions)
    if added:
        conn.execute(tables.entry.insert(), added)
    if others:
        entry = tables.entry
        values = {name: _parameter(name) for name in others[0] if name != "name"}
        update = entry.update().where(entry.c.name == bindparam("b_name")).values(values)
        conn.execute(update, [{**row, "b_name": row["name"]} for row in others])


def waiting_row(notice: Notice) -> dict[str, object]:
    """A row of bb_webhook for what is to be delivered."""
    return {
        "id": notice.id,
        "event": notice.event,
        "entry": notice.entry,
        "url": notice.url,
        "body": notice.body,
        "at_us": notice.at_us,
        "state": NoticeState.WAITING.value,
        "tries": 0,
        "next_us": notice.at_us,
        "error": "",
    }


def _parameter(name: str) -> BindParameter[Any]:
    return bindparam(name)


def _entry_row(edit: Edit, changed: int) -> dict[str, object]:
    after = edit.after
    return {
        "name": after.name,
        "rev": after.rev,
        "cursor_us": after.cursor_us,
        "next_us": edit.next_us,
        "removed": int(after.removed),
        "changed": changed,
        "owner": after.owner.value,
        "source": after.source,
        "defined": after.defined or None,
        "override": overrides_text(after.overrides),
    }
