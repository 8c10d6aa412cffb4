"""Likeness: entries that are alike share what they have in common, so that a million of them load fast and are small. PURE.

Entries of one project differ in their names, arguments and perhaps fire times; all else is equal. So the canonical text of an entry
(`spec_text` in edit.py) is cut into three: its arguments, its schedule and the rest, which is its kind. Kinds and schedules that were
parsed once are found again by their text. What stays in memory of an entry is an `Abridged`: enough to know when it fires; the entry
itself is made of it when it does. The caches are bounded, and forget everything when they are full: nothing depends on them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, TypeVar

from .entry import Entry, Owner
from .schedule import Schedule, schedule_from_spec

KEPT = 20_000
"""Schedules, and kinds of entries, that are remembered."""

K = TypeVar("K")
T = TypeVar("T")
_SHARED = tuple(known.name for known in fields(Entry) if known.name not in {"name", "when", "what", "source"})
_shared_of = attrgetter(*_SHARED)
_Thawed: Any = type("_Thawed", (), {"__slots__": Entry.__slots__})
_ARGS, _KWARGS, _WHEN = '"what":{"args":', ',"immutable":false,"kwargs":', ',"when":'
_NO_KWARGS = _KWARGS + "{}"
_HOLE = '"\\u0000"'
"""Stands in the text of a kind where the arguments were."""
_HOLE_VALUE = "\0"
_NEVER = {"at_us": [0]}
_decode = json.JSONDecoder().raw_decode
_schedules: dict[str, Schedule] = {}
_kinds: dict[tuple[str, str], Kind] = {}


@dataclass(frozen=True, slots=True)
class Kind:
    """What entries that are alike share: all but name, schedule, arguments and source."""

    model: Entry
    """An entry of this kind; no name, schedule and arguments of its own are to be read from it."""
    shared: tuple[Any, ...]
    """Its fields, in the order of `_SHARED`."""

    @classmethod
    def of(cls, model: Entry) -> Kind:
        """The kind of an entry."""
        return cls(model, _shared_of(model))


@dataclass(slots=True)
class Abridged:
    """An entry in few bytes; nobody changes it. `own` is what its `what` has besides its kind's: JSON, from the value of "args"
    on; or nothing.
    """

    name: str
    kind: Kind
    when: Schedule
    own: str
    source: str

    @classmethod
    def of(cls, entry: Entry) -> Abridged:
        """An entry that is there already. It shares nothing."""
        return cls(entry.name, Kind.of(entry), entry.when, "", entry.source)

    @property
    def model(self) -> Entry:
        """For its policies: all but its name, what it sends and its schedule."""
        return self.kind.model

    def next_after(self, after_us: int) -> int | None:
        """As the entry's."""
        return self.kind.model.next_of(self.when, after_us)

    def entry(self) -> Entry:
        """The entry. Not through its constructor, which would compute again what is shared.

        The fields of an entry are put into an object of the same shape that is not frozen, which then becomes one: each costs
        a hundredth of a microsecond so, and ten times that past the guard of a frozen class.
        """
        kind, own = self.kind, self.own
        what = kind.model.what
        if own:
            args, end = _decode(own)
            if end == len(own):
                what = {"args": args, **what}
            else:
                what = {
                    "args": args,
                    "immutable": False,
                    "kwargs": _decode(own, end + len(_KWARGS))[0],
                    **what,
                }
        put = _Thawed()
        put.name, put.when, put.what, put.source = self.name, self.when, what, self.source
        # fmt: off
        (put.enabled, put.catch_up, put.catch_up_window_us, put.catch_up_limit, put.grace_us, put.start_us, put.end_us,
         put.max_runs, put.jitter_us, put.spread_us, put.overlap, put.overlap_timeout_us, put.delivery, put.catch_up_rate,
         put.late_after_us, put.skip_us, put.webhook_url, put.webhook_on, put.ping_start, put.description, put.tags, put.team,
         put.owner, put.terms) = kind.shared
        # fmt: on
        put.__class__ = Entry
        entry: Entry = put
        return entry


def abridged(name: str, text: str, owner: str = Owner.FILE.value, source: str = "") -> Abridged:
    """The entry of a text that `spec_text` made, at any version. Raises what `Entry.from_spec` and json.loads raise."""
    try:
        rest, own, when = _cut(text)
        kind = _kinds.get((owner, rest))
        if kind is None:
            kind = _remember(_kinds, (owner, rest), _kind(owner, rest, own))
        schedule = _schedules.get(when)
        if schedule is None:
            schedule = _remember(_schedules, when, schedule_from_spec(json.loads(when)))
    except ValueError:
        return _whole(name, text, owner, source)
    return Abridged(name, kind, schedule, own, source)


def _cut(text: str) -> tuple[str, str, str]:
    """(the rest, with a hole where the arguments were; the arguments or ""; the schedule). Raises ValueError where there is no place to."""
    begin, end, own, head = text.find(_ARGS), 0, "", ""
    if begin >= 0:
        begin += len(_ARGS)
        _, end = _decode(text, begin)
        if text.startswith(_KWARGS, end) and not text.startswith(_NO_KWARGS, end):
            _, end = _decode(text, end + len(_KWARGS))
        own, head = text[begin:end], text[:begin] + _HOLE
    at = text.find(_WHEN, end)
    if at < 0 or text[-1] != "}":
        raise ValueError("no schedule at its end")
    return head + text[end:at], own, text[at + len(_WHEN) : -1]


def _kind(owner: str, rest: str, own: str) -> Kind:
    """The kind of this rest. Raises ValueError where the cut was wrong.

    It was right when what was cut out were values of the outermost `what`, and the last value of the whole. Whether it was depends
    on the rest alone; and where rest and schedule are JSON, each for itself, the text is.
    """
    spec = json.loads(rest + _WHEN + "null}")
    what = spec["what"]
    if own and (type(what) is not dict or what.pop("args", None) != _HOLE_VALUE):
        raise ValueError("these were not the arguments")
    return Kind.of(Entry.from_spec("", {**spec, "what": what, "when": _NEVER, "owner": owner}))


def _whole(name: str, text: str, owner: str, source: str) -> Abridged:
    """The entry of a text that cannot be cut: written otherwise than `spec_text` writes it, unusual, or wrong."""
    spec = json.loads(text)
    usual = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if usual != text:
        return abridged(name, usual, owner, source)
    return Abridged.of(Entry.from_spec(name, {**spec, "owner": owner, "source": source}))


def _remember(kept: dict[K, T], key: K, value: T) -> T:
    if len(kept) >= KEPT:
        kept.clear()
    kept[key] = value
    return value
