"""Order: what an operator may ask of one entry, and what it makes of the entry.

PURE: the registry reads the entry under a lock, asks `obey`, and writes the answer in the same transaction. No order fires
anything by itself (decisions B9); what the entry owed until now is decided by its old revision.

An entry has one owner. One of the store's own (owner db) is edited: its definition is another afterwards. One of a file or
an app keeps its definition, and what operators want of it lies on top, as an override, until somebody takes it off or it
ends. A pause, fire times to skip, and a change that ends by itself are overrides for every owner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, assert_never

from .edit import Edit, KeptEntry, added, defined, defined_or_none, is_readable, laid_over, revise, spec_text
from .entry import Entry, Owner
from .errors import BackbeatScheduleError
from .override import Override, OverrideKind, first_end_us, laid, lifted, override_of

MOST_SKIPS = 1_000
"""Fire times that wait to be skipped: they are part of the entry, which is read whenever it changes."""
CHANGEABLE = frozenset(Entry.__dataclass_fields__) - {"name", "owner", "source", "terms", "skip_us"}
"""The keys that `Change` takes: those of `Entry.to_spec`, but the fire times to skip, which have orders of their own."""


_NOTHING = '{"what":{},"when":{"at_us":[0]}}'
"""Stands for the text of a removed entry that nobody can read."""


class OrderRefused(BackbeatScheduleError):
    """An order that cannot be obeyed as things are; nothing was changed."""


class Conflict(OrderRefused):
    """Somebody else changed the entry since it was read."""


class NoSuchEntry(OrderRefused):
    """There is no entry of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """A new entry of the store's own. One of this name that was removed comes back; its past is not replayed."""

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Other values for some keys of `Entry.to_spec`, each given whole; with an end it is taken back by itself."""

    changes: Mapping[str, Any]
    reason: str = ""
    until_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revert:
    """Take the change off that lies on the definition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Do not fire until somebody resumes it, or until `until_us`."""

    reason: str = ""
    until_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """End the pause: fire times from now on count again, and none that fell into the pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipNext:
    """Pass the next `count` fire times over, besides those that are to be skipped already."""

    count: int = 1
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unskip:
    """Skip nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Delete an entry of the store's own; its history stays."""


Order = Add | Change | Revert | Pause | Resume | SkipNext | Unskip | Remove


def action_of(order: Order) -> str:
    """The name of an order in the audit and on the command line."""
    names: dict[type[object], str] = {SkipNext: "skip-next"}
    return names.get(type(order), type(order).__name__.lower())


def obey(name: str, order: Order, before: KeptEntry | None, *, actor: str, now_us: int) -> Edit | None:
    """The edit that the order makes; None when there is nothing to do.

    Raises: NoSuchEntry, OrderRefused with what to do instead, ScheduleError for values that make no entry.
    """
    if isinstance(order, Add):
        return _add(order.entry, before, now_us)
    if before is None or before.removed:
        raise NoSuchEntry(f"there is no entry {name!r}: `backbeat schedules list` shows those that there are")
    if isinstance(order, Remove):
        return _remove(before, now_us)
    after = _fresh(before)
    match order:
        case Change():
            after = _changed(after, order, actor, now_us)
        case Revert():
            after = _without(after, OverrideKind.CHANGE)
        case Pause():
            _check_end(name, order.until_us, now_us)
            pause = Override(
                kind=OverrideKind.PAUSE,
                changes={"enabled": False},
                actor=actor,
                at_us=now_us,
                reason=order.reason,
                until_us=order.until_us,
            )
            after = _with(after, pause)
        case Resume():
            after = _resumed(after)
        case SkipNext():
            after = _skipping(after, order, actor, now_us)
        case Unskip():
            after = _without(after, OverrideKind.SKIP)
        case _:
            assert_never(order)
    return revise(before, after, now_us)


def overdue(before: KeptEntry, now_us: int) -> tuple[KeptEntry, int] | None:
    """The entry without the overrides that ended first, and when they did; None when none has ended.

    What ended later comes off next: until then it was in force, however late all of it is noticed. None also where what is
    left makes no entry with its definition: that one stays as it is, and the others come off.
    """
    end_us = first_end_us(before.overrides)
    if end_us is None or end_us > now_us:
        return None
    left = tuple(each for each in before.overrides if each.until_us != end_us)
    after = defined_or_none(before, before.definition, left)
    return (
        None if after is None or not is_readable(after) else (replace(after, removed=before.removed), end_us)
    )


def check_revision(before: KeptEntry | None, expected_rev: int | None, name: str) -> None:
    """Raise Conflict when the entry is not at the revision that its editor has seen."""
    if expected_rev is None or before is None or before.removed or before.rev == expected_rev:
        return
    raise Conflict(
        f"entry {name!r} is at revision {before.rev} and you have seen revision {expected_rev}: somebody changed it"
        f" meanwhile (`backbeat audit {name}` says who); look at it again, then repeat what you want"
    )


def _add(entry: Entry, before: KeptEntry | None, now_us: int) -> Edit | None:
    if before is None:
        return added(entry, Owner.DB, now_us)
    if not before.removed:
        raise OrderRefused(
            f"there is an entry {entry.name!r} already ({_owner(before)}): change that one, or choose another name"
        )
    after = replace(defined(before, spec_text(entry), ()), owner=Owner.DB, source=entry.source)
    return revise(before, after, now_us)


def _remove(before: KeptEntry, now_us: int) -> Edit | None:
    if before.owner is not Owner.DB:
        raise OrderRefused(
            f"entry {before.name!r} belongs to {_owner(before)}: remove it there, or pause it here"
        )
    try:
        after = defined(before, before.definition, ())
        after.entry()
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
    ):  # damaged: its revision stays in the store as it is
        after = replace(before, spec=_NOTHING, defined="", overrides=())
    return revise(before, replace(after, removed=True), now_us)


def _fresh(before: KeptEntry) -> KeptEntry:
    """Without fire times to skip that are decided."""
    skip = override_of(before.overrides, OverrideKind.SKIP)
    if skip is None:
        return before
    left = [fire_us for fire_us in skip.changes["skip_us"] if fire_us > before.cursor_us]
    if len(left) == len(skip.changes["skip_us"]):
        return before
    return _with(before, replace(skip, changes={"skip_us": left})) if left else _without(before, skip.kind)


def _with(before: KeptEntry, override: Override) -> KeptEntry:
    return defined(before, before.definition, laid(before.overrides, override))


def _without(before: KeptEntry, kind: OverrideKind) -> KeptEntry:
    return defined(before, before.definition, lifted(before.overrides, kind))


def _changed(before: KeptEntry, order: Change, actor: str, now_us: int) -> KeptEntry:
    unknown = sorted(order.changes.keys() - CHANGEABLE)
    if unknown:
        raise OrderRefused(
            f"entry {before.name!r}: {unknown[0]!r} cannot be changed; one of {', '.join(sorted(CHANGEABLE))}"
        )
    _check_end(before.name, order.until_us, now_us)
    lying = override_of(before.overrides, OverrideKind.CHANGE)
    if not order.changes and lying is None:
        return before
    if before.owner is Owner.DB and order.until_us is None:
        change = Override(kind=OverrideKind.CHANGE, changes=order.changes, actor=actor, at_us=now_us)
        definition = laid_over(before.name, before.definition, (change,))
        return defined(before, definition, _uncovered(before.overrides, order.changes))
    change = Override(
        kind=OverrideKind.CHANGE,
        changes={**(lying.changes if lying else {}), **order.changes},
        actor=actor,
        at_us=now_us,
        reason=order.reason,
        until_us=order.until_us,
    )
    return _with(before, change)


def _uncovered(overrides: tuple[Override, ...], changes: Mapping[str, Any]) -> tuple[Override, ...]:
    """The overrides without those keys, which would hide what is now said for good."""
    lying = override_of(overrides, OverrideKind.CHANGE)
    if lying is None:
        return overrides
    left = {key: value for key, value in lying.changes.items() if key not in changes}
    return laid(overrides, replace(lying, changes=left)) if left else lifted(overrides, lying.kind)


def _resumed(before: KeptEntry) -> KeptEntry:
    if override_of(before.overrides, OverrideKind.PAUSE) is None and not before.entry().enabled:
        raise OrderRefused(
            f"entry {before.name!r} is not paused, it is disabled by its definition ({_owner(before)}):"
            " change `enabled`"
        )
    return _without(before, OverrideKind.PAUSE)


def _skipping(before: KeptEntry, order: SkipNext, actor: str, now_us: int) -> KeptEntry:
    entry = before.entry()
    if not entry.enabled:
        raise OrderRefused(f"entry {before.name!r} is paused or disabled: it has no next fire time to skip")
    skips = set(entry.skip_us)
    after_us, wanted = max(before.cursor_us, now_us), len(skips) + order.count
    if wanted > MOST_SKIPS:
        raise OrderRefused(
            f"entry {before.name!r}: {wanted} fire times to skip, {MOST_SKIPS} is the most; pause it with an end"
        )
    while len(skips) < wanted:
        fire_us = entry.next_after(after_us)
        if fire_us is None:
            break
        skips.add(fire_us)
        after_us = fire_us
    skip = Override(
        kind=OverrideKind.SKIP,
        changes={"skip_us": sorted(skips)},
        actor=actor,
        at_us=now_us,
        reason=order.reason,
    )
    return _with(before, skip)


def _check_end(name: str, until_us: int | None, now_us: int) -> None:
    if until_us is not None and until_us <= now_us:
        raise OrderRefused(f"entry {name!r}: the end lies in the past; give one that is still to come")


def _owner(kept: KeptEntry) -> str:
    place = f", {kept.source}" if kept.source else ""
    return f"owner {kept.owner.value}{place}"
