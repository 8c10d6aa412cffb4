"""Edit: what changes in the store when an owner's entries are to be what a file, or an app, now says.

PURE: the store reads its rows, asks `edits`, and writes the answer in the same fenced transaction. The rules (decisions B9):

* a new entry starts now: its past is nobody's business;
* a removed one has its instants up to now decided by the revision that was in force, then is kept, disabled, so that
  adding it again starts at now and replays nothing;
* an edit of *when* (the schedule, start, end, enabled) decides the instants up to now by the old revision and its policy,
  and starts the new one at now: an edit never fires by itself;
* an edit of anything else is a new revision and leaves the cursor alone, so that no instant is lost;
* another line or file of the same text is no revision at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from .entry import Entry, Owner
from .plan import Due, Skip, plan


class EditKind(Enum):
    """What happens to one entry."""

    ADDED = "added"
    """There was no such entry."""
    RESTORED = "restored"
    """It had been removed, and is back."""
    RETIMED = "retimed"
    """It fires at other times than before."""
    REVISED = "revised"
    """It sends something else, or is caught up in another way; its times are the same."""
    MOVED = "moved"
    """It stands elsewhere in the file."""
    REMOVED = "removed"
    """It is gone from its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEntry:
    """An entry as the store has it; `spec` is `spec_text` of its revision `rev`."""

    name: str
    owner: Owner
    source: str
    spec: str
    rev: int
    cursor_us: int
    removed: bool = False

    def entry(self) -> Entry:
        """The entry itself."""
        known = json.loads(self.spec)
        return Entry.from_spec(self.name, {**known, "owner": self.owner.value, "source": self.source})


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One entry as it shall be, and what its old revision still owed: `dues` and `skips`, of the revision `old_rev`."""

    kind: EditKind
    after: KeptEntry
    next_us: int | None
    old_rev: int = 0
    dues: tuple[Due, ...] = ()
    skips: tuple[Skip, ...] = ()


@dataclass(frozen=True, slots=True)
class Edits:
    """All edits of one reconcile, and the names that belong to somebody else and are therefore left alone."""

    edits: tuple[Edit, ...]
    foreign: tuple[str, ...]


def edits(kept: Mapping[str, KeptEntry], wanted: Iterable[Entry], owner: Owner, now_us: int) -> Edits:
    """What makes the entries of `owner` in `kept` equal to `wanted`."""
    changes: list[Edit] = []
    foreign: list[str] = []
    names: set[str] = set()
    for entry in wanted:
        names.add(entry.name)
        before = kept.get(entry.name)
        if before is not None and before.owner is not owner and not before.removed:
            foreign.append(entry.name)
        elif (change := _edit(before, entry, owner, now_us)) is not None:
            changes.append(change)
    changes += [
        _close(before, before.entry(), now_us, EditKind.REMOVED, replace(before, removed=True))
        for name, before in kept.items()
        if before.owner is owner and not before.removed and name not in names
    ]
    return Edits(tuple(changes), tuple(foreign))


def spec_text(entry: Entry) -> str:
    """The entry as canonical JSON, without what its owner and its place in a file say: equal texts are one revision."""
    spec = entry.to_spec()
    spec.pop("owner", None)
    spec.pop("source", None)
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _edit(before: KeptEntry | None, entry: Entry, owner: Owner, now_us: int) -> Edit | None:
    text = spec_text(entry)
    if before is None:
        after = KeptEntry(
            name=entry.name, owner=owner, source=entry.source, spec=text, rev=1, cursor_us=now_us
        )
        return Edit(kind=EditKind.ADDED, after=after, next_us=_next_us(entry, now_us))
    after = replace(before, owner=owner, source=entry.source, spec=text, removed=False)
    if before.removed:
        cursor_us = max(before.cursor_us, now_us)
        after = replace(after, rev=before.rev + 1, cursor_us=cursor_us)
        return Edit(kind=EditKind.RESTORED, after=after, next_us=_next_us(entry, cursor_us))
    if before.spec == text:
        if before.source == entry.source:
            return None
        return Edit(kind=EditKind.MOVED, after=after, next_us=_next_us(entry, before.cursor_us))
    after = replace(after, rev=before.rev + 1)
    old = before.entry()
    if _timing(old) == _timing(entry):
        return Edit(kind=EditKind.REVISED, after=after, next_us=_next_us(entry, before.cursor_us))
    closed = _close(before, old, now_us, EditKind.RETIMED, after)
    return replace(closed, next_us=_next_us(entry, closed.after.cursor_us))


def _close(before: KeptEntry, old: Entry, now_us: int, kind: EditKind, after: KeptEntry) -> Edit:
    """Decide by the old revision what it owes up to now; the cursor never moves back (I-CURSOR)."""
    dues: list[Due] = []
    skips: list[Skip] = []
    cursor_us = before.cursor_us
    while True:
        verdict = plan([old], {old.name: cursor_us}, now_us)
        if verdict.cursors[old.name] == cursor_us:
            break
        cursor_us = verdict.cursors[old.name]
        dues += verdict.dues
        skips += verdict.skips
    after = replace(after, cursor_us=max(cursor_us, now_us))
    return Edit(
        kind=kind, after=after, next_us=None, old_rev=before.rev, dues=tuple(dues), skips=tuple(skips)
    )


def _timing(entry: Entry) -> tuple[object, ...]:
    return entry.when, entry.start_us, entry.end_us, entry.enabled


def _next_us(entry: Entry, cursor_us: int) -> int | None:
    return entry.next_after(cursor_us) if entry.enabled else None
