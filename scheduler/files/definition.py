"""Definition: one schedule as it is written - what, when and how - read into an Entry.

PURE. The schedule's own keys stand before the file's defaults; a `null` means "not set", for a default too. The first fault
ends the reading, so that a schedule shows one error at a time.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Any

from ..entry import Entry
from ..errors import ScheduleError
from ..schedule import DayMatch, Dst, Except, OnExcept, Schedule
from .advice import advise, check_partners
from .blackout import read_blackouts
from .calendar import Calendars
from .local_time import local_time_us
from .node import Mapping, Node, Pair, Scalar
from .option import check_limits, read_options
from .policy import POLICIES, read_policies
from .problem import Fault
from .signature import Signature, check_size, options_of_first, task_signature, with_defaults
from .step import only_one, read_callbacks, read_work, set_options
from .telling import check_telling, read_tells, with_ending_urls
from .timing import FIELDS, Timing, read_when, read_zone
from .value import arguments, choice, count, mapping, schedule_fault, sequence
from .vocabulary import CALLBACKS, SCHEDULE, TELLING, WHAT, WHEN, check_keys
from .workflow import Workflows

NAME_LIMIT = 120
_NO_KEYS: dict[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a schedule takes from outside itself: its file's zone and defaults, and all files' workflows and calendars.

    A calendar that could not be read stands as its Fault.
    """

    timezone: str
    defaults: Mapping | None
    workflows: Workflows
    calendars: Calendars = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """An entry, and the keys that it was read from, defaults included: for those who have more to say about them.

    `workflows` are those that it might use, as they are written.
    """

    entry: Entry
    keys: Mapping
    zone: str
    workflows: MappingOf[str, Pair]


def read_definition(name: Scalar, node: Node, around: Surroundings, warnings: list[Fault]) -> Definition:
    """The entry of one schedule. Raises Fault for its first error; adds warnings."""
    check_name(name)
    own = mapping(node, "a schedule", help="write task: and every:, cron: or at: below its name")
    check_keys(own, SCHEDULE)
    keys = _over_defaults(name, own, around.defaults)
    check_partners(own, keys)
    zone_node = keys.get("timezone")
    zone = around.timezone if zone_node is None else read_zone(zone_node)
    _check_details(keys)
    timing = Timing(keys=keys, zone=zone, name=name.text, warnings=warnings)
    what = with_ending_urls(keys, _what(keys, own, around))
    when = _without_blackouts(read_when(timing), timing, around.calendars)
    start_us, end_us = _bounds(timing)
    entry = Entry(
        name=name.text,
        when=when,
        what=what,
        start_us=start_us,
        end_us=end_us,
        source=f"{name.place.source.name}:{name.place.line + 1}",
        **read_policies(keys),
        **read_tells(keys),
    )
    _check_fires(entry, keys)
    warnings += advise(entry, keys)
    return Definition(entry=entry, keys=keys, zone=zone, workflows=around.workflows.pairs)


def check_name(name: Scalar) -> None:
    """Raise Fault E113 for a name that messages and pages could not show."""
    if not name.text.strip() or not name.text.isprintable():
        raise Fault(
            name.place,
            "E113",
            "a name must be printable and not empty",
            help="letters, digits, spaces, - _ .",
        )
    if len(name.text) > NAME_LIMIT:
        raise Fault(name.place, "E113", f"a name of {len(name.text)} characters; {NAME_LIMIT} is the most")


def check_default(key: str, keys: Mapping, around: Surroundings) -> None:
    """Raise Fault when the value of one key under defaults: could not serve any schedule."""
    node = keys.pairs[key].value
    if keys.get(key) is None:
        return
    alone = Mapping(keys.place, {key: keys.pairs[key]})
    details = {name: pair for name, pair in keys.pairs.items() if name in {"cron_fields", "dst", "day_match"}}
    timing = Timing(
        keys=Mapping(keys.place, details | alone.pairs), zone=around.timezone, name=key, warnings=[]
    )
    if key == "options":
        read_options(node)
    elif key == "timezone":
        read_zone(node)
    elif key in WHEN:
        read_when(timing)
    elif key in WHAT:
        _what(alone, alone, around)
    elif key in CALLBACKS:
        read_callbacks(alone, task_signature("", [], {}), around.workflows.used)
    elif key in {"start", "end", "anchor"}:
        timing.local_us(node, key)
    elif key == "args":
        sequence(node, key)
    elif key == "kwargs":
        arguments(node, key)
    elif key == "except":
        read_blackouts(node, timing, around.calendars)
    elif key in TELLING:
        check_telling(node, key)
    elif key == "cron_fields":
        count(node, key, min(FIELDS), max(FIELDS))
    elif key in _CHOICES:
        choice(node, key, _CHOICES[key])
    elif key in POLICIES:
        POLICIES[key].read(node, key)


def _check_details(keys: Mapping) -> None:
    """Raise Fault for a wrong detail of the times, also where this kind of `when` does not ask for it."""
    for key, kind in _CHOICES.items():
        node = keys.get(key)
        if node is not None:
            choice(node, key, kind)
    fields = keys.get("cron_fields")
    if fields is not None:
        count(fields, "cron_fields", min(FIELDS), max(FIELDS))


_CHOICES: dict[str, type[DayMatch | Dst | OnExcept]] = {
    "day_match": DayMatch,
    "dst": Dst,
    "on_except": OnExcept,
}


def _over_defaults(name: Scalar, own: Mapping, defaults: Mapping | None) -> Mapping:
    pairs = own.pairs
    if defaults is not None:
        replaced = {key for group in (WHAT, WHEN) if any(key in pairs for key in group) for key in group}
        pairs = {key: pair for key, pair in defaults.pairs.items() if key not in replaced} | pairs
    return Mapping(name.place, pairs)


def _what(keys: Mapping, own: Mapping, around: Surroundings) -> Signature:
    kind = only_one(keys, WHAT)
    if kind is None:
        raise Fault(
            keys.place,
            "E132",
            "does not say what to run",
            help="add task:, chain:, group:, chord: or workflow:",
        )
    signature = read_work(keys, kind, around.workflows.used)
    has_unset = "options" in own.pairs and own.get("options") is None
    defaults = _NO_KEYS if has_unset else _default_options(around.defaults)
    node = own.get("options")
    given = _NO_KEYS if node is None else read_options(node)
    if signature["subtask_type"] is not None:
        left = {key: value for key, value in defaults.items() if key not in given}
        signature, defaults = with_defaults(signature, left)
    options = defaults | signature["options"] | given
    if node is not None:
        check_limits(options, node)  # one of them may be that of the defaults
    what = read_callbacks(keys, {**signature, "options": set_options(options)}, around.workflows.used)
    check_size(what, keys.pairs[kind].key.place)
    if what["subtask_type"] is not None:
        for sent in options_of_first(what):
            check_limits(sent, keys.pairs[kind].key)
    return what


def _default_options(defaults: Mapping | None) -> dict[str, Any]:
    node = None if defaults is None else defaults.get("options")
    return _NO_KEYS if node is None else read_options(node)


def _without_blackouts(when: Schedule, timing: Timing, calendars: Calendars) -> Schedule:
    node, on_except = timing.keys.get("except"), timing.keys.get("on_except")
    rule = OnExcept.SKIP if on_except is None else choice(on_except, "on_except", OnExcept)
    if node is None:
        return when
    out = read_blackouts(node, timing, calendars)
    try:
        return Except(when=when, out=out, on_except=rule)
    except ScheduleError as error:
        raise schedule_fault(
            node, "E182", ScheduleError(f"never fires: {error.message}", help=error.help)
        ) from error


def _bounds(timing: Timing) -> tuple[int | None, int | None]:
    nodes = timing.keys.get("start"), timing.keys.get("end")
    start, end = (
        None if node is None else local_time_us(node, key, timing.zone, timing.warnings)
        for key, node in zip(("start", "end"), nodes, strict=True)
    )
    if start is not None and end is not None and end < start:
        assert nodes[1] is not None  # `end` was read from it
        raise Fault(nodes[1].place, "E182", "never fires: end lies before start", help="write a later end:")
    return start, end


def _check_fires(entry: Entry, keys: Mapping) -> None:
    """Raise Fault E182 when start, end or except leave no fire time at all."""
    bounds = [key for key in ("start", "end", "except") if keys.get(key) is not None]
    if not bounds:
        return
    first_us = 0 if entry.start_us is None else entry.start_us
    if entry.next_after(first_us - 1) is None:
        place = keys.pairs[bounds[-1]].value.place
        inside, verb = " and ".join(bounds), "leaves" if len(bounds) == 1 else "leave"
        raise Fault(place, "E182", f"never fires: {inside} {verb} no fire time", help=f"check {inside}")
