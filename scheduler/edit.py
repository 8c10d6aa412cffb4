"""Edit: what changes in the store when an owner's entries are to be what a file, or an app, now says.

PURE: the store reads its rows, asks `edits`, and writes the answer in the same fenced transaction. The rules (decisions B9):

* a new entry starts now: its past is nobody's business;
* a removed one has its instants up to now decided by the revision that was in force, then is kept, disabled, so that
  adding it again starts at now and replays nothing;
* an edit of *when* (the schedule, start, end, enabled) decides the instants up to now by the old revision and its policy,
  and starts the new one at now: an edit never fires by itself;
* an edit of anything else is a new revision and leaves the cursor alone, so that no instant is lost; but one that has had its
  max_runs, and gets more, begins again at now;
* what overlap would not let run at once is not owed at once: of several instants one is held for the leader, who knows
  whether the run before it is over, and the others are skipped;
* another line or file of the same text is no revision at all, nor is a definition that is hidden by an override;
* what operators laid over an entry (override.py) stays on top of whatever its owner says: the rules hold for what comes of both.

An operator's edit is judged by the same rules, one entry at a time (`revise`); order.py says what each of their orders makes
of an entry.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from .entry import Entry, Overlap, Owner, Tells
from .likeness import Abridged, abridged
from .override import Override
from .plan import Due, plan
from .skip import Skip, SkipReason

_ALL = 1 << 62
"""Firings in one plan: what an old revision owes is decided whole."""
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)
"""What text raises that is no entry: it is damaged, or another version's."""


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
    """It stands elsewhere in the file, or only what is hidden below an override is different."""
    REMOVED = "removed"
    """It is gone from its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEntry:
    """An entry as the store has it; `spec` is `spec_text` of its revision `rev`.

    `overrides` are what operators laid over it, and `defined` is then its owner's text below them; else it is empty. `runs`
    counts its regular firings (decisions B8).
    """

    name: str
    owner: Owner
    source: str
    spec: str
    rev: int
    cursor_us: int
    removed: bool = False
    defined: str = ""
    overrides: tuple[Override, ...] = ()
    runs: int = 0

    @property
    def definition(self) -> str:
        """What its owner says, as `spec_text`."""
        return self.defined or self.spec

    def entry(self) -> Entry:
        """The entry itself."""
        return self.abridged().entry()

    def abridged(self) -> Abridged:
        """The entry in few bytes."""
        return abridged(self.name, self.spec, self.owner.value, self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One entry as it shall be, and what its old revision still owed: `dues` and `skips`, of the revision `old_rev`.

    `holds`: overlap has a say in what is owed; it is held, until a leader has asked whether the run before it is over.
    """

    kind: EditKind
    after: KeptEntry
    next_us: int | None
    old_rev: int = 0
    dues: tuple[Due, ...] = ()
    skips: tuple[Skip, ...] = ()
    holds: bool = False
    tells: Tells | None = None
    """Who hears of what the old revision skips."""


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
        _close(before, _readable(before), now_us, EditKind.REMOVED, replace(before, removed=True))
        for name, before in kept.items()
        if before.owner is owner and not before.removed and name not in names
    ]
    return Edits(tuple(changes), tuple(foreign))


def narrowed(
    kept: Mapping[str, KeptEntry], wanted: Sequence[Entry], among: Collection[str] | None
) -> tuple[Mapping[str, KeptEntry], Sequence[Entry]]:
    """Both, for `edits` that leave everything alone but the names in `among`; None leaves nothing alone."""
    if among is None:
        return kept, wanted
    known = {name: kept[name] for name in among if name in kept}
    return known, [entry for entry in wanted if entry.name in among]


def edits_anew(
    wish: Edits, edited: Mapping[str, KeptEntry], wanted: Iterable[Entry], owner: Owner, now_us: int
) -> Edits:
    """`wish`, where the entries in `edited` were edited by somebody since: these are judged again, as they are now."""
    again = edits(edited, [entry for entry in wanted if entry.name in edited], owner, now_us)
    kept = tuple(edit for edit in wish.edits if edit.after.name not in edited)
    foreign = tuple(name for name in wish.foreign if name not in edited)
    return Edits(kept + again.edits, foreign + again.foreign)


def spec_text(entry: Entry) -> str:
    """The entry as canonical JSON, without what its owner and its place in a file say: equal texts are one revision."""
    spec = entry.to_spec()
    spec.pop("owner", None)
    spec.pop("source", None)
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def laid_over(name: str, definition: str, overrides: Iterable[Override]) -> str:
    """The text of an entry with its overrides on top of its definition.

    Raises: ScheduleError where they make no entry together.
    """
    spec = json.loads(definition)
    for each in overrides:
        spec |= each.changes
    return spec_text(Entry.from_spec(name, spec))


def defined(before: KeptEntry, definition: str, overrides: tuple[Override, ...]) -> KeptEntry:
    """`before` with another definition or other overrides, for `revise`."""
    if not overrides:
        return replace(before, spec=definition, defined="", overrides=(), removed=False)
    spec = laid_over(before.name, definition, overrides)
    return replace(before, spec=spec, defined=definition, overrides=overrides, removed=False)


def defined_or_none(before: KeptEntry, definition: str, overrides: tuple[Override, ...]) -> KeptEntry | None:
    """The same; None where they make no entry, as another version wrote them, or somebody damaged them."""
    try:
        return defined(before, definition, overrides)
    except _UNREADABLE:
        return None


def is_readable(kept: KeptEntry) -> bool:
    """Whether its text makes an entry."""
    return _readable(kept) is not None


def added(entry: Entry, owner: Owner, now_us: int) -> Edit:
    """The edit that makes an entry that nobody ever had."""
    after = KeptEntry(
        name=entry.name, owner=owner, source=entry.source, spec=spec_text(entry), rev=1, cursor_us=now_us
    )
    return Edit(kind=EditKind.ADDED, after=after, next_us=_next_us(entry, now_us))


def revise(before: KeptEntry, after: KeptEntry, now_us: int, begins_us: int | None = None) -> Edit | None:
    """What makes `after` of `before`; None when they are the same. Revision and cursor are set here.

    `begins_us`, at most now, is when the new one comes into force, if that was earlier than anybody noticed: until then the
    old one's instants are decided, the new one's after it.
    """
    if after.removed:
        if not before.removed:
            return _close(before, _readable(before), now_us, EditKind.REMOVED, after)
        # an override of it has ended: what is removed owes nothing
        return None if before == after else Edit(kind=EditKind.MOVED, after=after, next_us=None)
    entry = after.entry()
    if before.removed:
        cursor_us = max(before.cursor_us, now_us)
        after = replace(after, rev=before.rev + 1, cursor_us=cursor_us)
        return Edit(kind=EditKind.RESTORED, after=after, next_us=_next_us(entry, cursor_us))
    if before.spec == after.spec:
        if before == after:
            return None
        return Edit(kind=EditKind.MOVED, after=after, next_us=_next_us(entry, before.cursor_us))
    after = replace(after, rev=before.rev + 1)
    old = _readable(before)
    if old is not None and _timing(old) == _timing(entry) and not _goes_on(old, entry, before.runs):
        return Edit(kind=EditKind.REVISED, after=after, next_us=_next_us(entry, before.cursor_us))
    closed = _close(before, old, now_us, EditKind.RETIMED, after, begins_us)
    return replace(closed, next_us=_next_us(entry, closed.after.cursor_us))


def _edit(before: KeptEntry | None, entry: Entry, owner: Owner, now_us: int) -> Edit | None:
    if before is None:
        return added(entry, owner, now_us)
    after = defined_or_none(before, spec_text(entry), before.overrides)
    if after is None:
        return None  # one entry that cannot be laid out must not keep the others from being edited
    return revise(before, replace(after, owner=owner, source=entry.source), now_us)


def _close(
    before: KeptEntry,
    old: Entry | None,
    now_us: int,
    kind: EditKind,
    after: KeptEntry,
    begins_us: int | None = None,
) -> Edit:
    """Decide by the old revision what it owes until the new one begins; the cursor never moves back (I-CURSOR)."""
    dues: list[Due] = []
    skips: list[Skip] = []
    if old is not None and begins_us is not None and (old.end_us is None or old.end_us >= begins_us):
        old = replace(old, end_us=begins_us - 1)
    cursor_us = before.cursor_us
    while old is not None:
        left = {} if old.max_runs is None else {old.name: old.max_runs - before.runs - len(dues)}
        try:
            verdict = plan([old], {old.name: cursor_us}, now_us, _ALL, left)
        except Exception:  # noqa: BLE001 - a user's schedule: what cannot be evaluated must not keep others from being edited
            break
        if verdict.cursors[old.name] == cursor_us:
            break
        cursor_us = verdict.cursors[old.name]
        dues += verdict.dues
        skips += verdict.skips
    holds = old is not None and old.overlap is not Overlap.ALLOW
    if old is not None and holds and len(dues) > 1:
        dues, skips = _one_of(old.overlap, dues, skips)
    start_us = now_us if begins_us is None else begins_us - 1
    after = replace(after, cursor_us=max(cursor_us, start_us))
    return Edit(
        kind=kind,
        after=after,
        next_us=None,
        old_rev=before.rev,
        dues=tuple(dues),
        skips=tuple(skips),
        holds=holds,
        tells=None if old is None else old.terms.tells,
    )


def _one_of(overlap: Overlap, dues: Sequence[Due], skips: Sequence[Skip]) -> tuple[list[Due], list[Skip]]:
    """Of what is owed to an entry whose runs do not overlap: the first one (skip), or the newest one (queue, cancel)."""
    sent, reason = (
        (dues[0], SkipReason.OVERLAP) if overlap is Overlap.SKIP else (dues[-1], SkipReason.SUPERSEDED)
    )
    passed = [Skip(due.entry.name, due.due_us, due.due_us, 1, reason) for due in dues if due is not sent]
    return [sent], [*skips, *passed]


def _readable(before: KeptEntry) -> Entry | None:
    """The entry; None for one whose text is damaged, or another version's: it owes nothing that anybody could tell."""
    try:
        return before.entry()
    except _UNREADABLE:
        return None


def _goes_on(old: Entry, entry: Entry, runs: int) -> bool:
    """It had been sent as often as it might be, and may be again. Its cursor stands since then; what was between is not owed."""
    return (
        old.max_runs is not None
        and runs >= old.max_runs
        and (entry.max_runs is None or entry.max_runs > runs)
    )


def _timing(entry: Entry) -> tuple[object, ...]:
    return entry.when, entry.start_us, entry.end_us, entry.enabled


def _next_us(entry: Entry, cursor_us: int) -> int | None:
    """None also for what cannot be evaluated: the leader quarantines it, and says so."""
    try:
        return entry.next_after(cursor_us) if entry.enabled else None
    except Exception:  # noqa: BLE001 - the same as in _close
        return None
