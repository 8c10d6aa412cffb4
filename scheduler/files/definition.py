"""Definition: one schedule as it is written - what, when and how - read into an Entry.

PURE. The schedule's own keys stand before the file's defaults; a `null` means "not set", for a default too. The first fault
ends the reading, so that a schedule shows one error at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from typing import Any

from ..entry import CatchUp, Entry
from ..schedule import DayMatch, Dst, Schedule
from .node import Mapping, Node, Scalar
from .option import read_options
from .problem import Fault, quoted
from .step import Signature, only_one, read_callbacks, read_work, set_options
from .timing import local_time_us, read_when, read_zone
from .value import arguments, choice, count, duration_us, flag, mapping, sequence, text, texts
from .vocabulary import CALLBACKS, SCHEDULE, WHAT, WHEN, check_keys

NAME_LIMIT = 120
MOST_CATCH_UPS = 1_000_000
_NO_KEYS: dict[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a schedule takes from outside itself: its file's zone and defaults, and all files' workflows.

    A workflow that could not be read stands as its Fault.
    """

    timezone: str
    defaults: Mapping | None
    workflows: MappingOf[str, Signature | Fault]


def read_entry(name: Scalar, node: Node, around: Surroundings, warnings: list[Fault]) -> Entry:
    """The entry of one schedule. Raises Fault for its first error; adds warnings."""
    check_name(name)
    own = mapping(node, "a schedule", help="write task: and every:, cron: or at: below its name")
    check_keys(own, SCHEDULE)
    keys = _over_defaults(name, own, around.defaults)
    zone_node = keys.get("timezone")
    zone = around.timezone if zone_node is None else read_zone(zone_node)
    what = _what(keys, own, around)
    when = read_when(keys, zone, warnings)
    return _entry(name, keys, what, when, _times(keys, zone, warnings))


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


def check_default(key: str, keys: Mapping, zone: str, workflows: MappingOf[str, Signature | Fault]) -> None:
    """Raise Fault when the value of one key under defaults: could not serve any schedule."""
    node = keys.pairs[key].value
    if keys.get(key) is None:
        return
    alone = Mapping(keys.place, {key: keys.pairs[key]})
    if key == "options":
        read_options(node)
    elif key == "timezone":
        read_zone(node)
    elif key in WHEN:
        read_when(alone, zone, [])
    elif key in WHAT:
        _what(alone, alone, Surroundings(timezone=zone, defaults=None, workflows=workflows))
    elif key in CALLBACKS:
        read_callbacks(alone, {"subtask_type": None, "kwargs": {}, "options": {}})
    elif key in {"start", "end"}:
        local_time_us(node, key, zone, [])
    elif key == "args":
        sequence(node, key)
    elif key == "kwargs":
        arguments(node, key)
    elif key in _POLICIES:
        _POLICIES[key](node, key)


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
    signature = _workflow(keys, around) if kind == "workflow" else read_work(keys, kind)
    has_unset = "options" in own.pairs and own.get("options") is None
    options = signature["options"] if has_unset else _default_options(around.defaults) | signature["options"]
    node = own.get("options")
    if node is not None:
        options = options | read_options(node)
    return read_callbacks(keys, {**signature, "options": set_options(options)})


def _default_options(defaults: Mapping | None) -> dict[str, Any]:
    node = None if defaults is None else defaults.get("options")
    return _NO_KEYS if node is None else read_options(node)


def _workflow(keys: Mapping, around: Surroundings) -> Signature:
    node = keys.pairs["workflow"].value
    name = text(node, "workflow", NAME_LIMIT)
    found = around.workflows.get(name)
    if found is None:
        known = ", ".join(sorted(around.workflows)[:10])
        hint = f"known are {known}" if known else "write it under workflows:"
        raise Fault(node.place, "E193", f"workflow {quoted(name)} is not defined", help=hint)
    if isinstance(found, Fault):
        raise found
    for key in ("args", "kwargs"):
        if keys.get(key) is not None:
            place = keys.pairs[key].key.place
            raise Fault(
                place,
                "E121",
                f'"{key}" belongs to a task, not to a workflow',
                help="write it in the workflow's steps",
            )
    return found


def _times(keys: Mapping, zone: str, warnings: list[Fault]) -> tuple[int | None, int | None]:
    nodes = keys.get("start"), keys.get("end")
    start, end = (
        None if node is None else local_time_us(node, key, zone, warnings)
        for key, node in zip(("start", "end"), nodes, strict=True)
    )
    if start is not None and end is not None and end < start:
        assert nodes[1] is not None  # `end` was read from it
        raise Fault(nodes[1].place, "E182", "never fires: end lies before start", help="write a later end:")
    return start, end


def _entry(
    name: Scalar, keys: Mapping, what: Signature, when: Schedule, times: tuple[int | None, int | None]
) -> Entry:
    policies = {}
    for key, read in _POLICIES.items():
        node = keys.get(key)
        if node is not None:
            policies[_FIELDS.get(key, key)] = read(node, key)
    for key in _CHECKED_ONLY:
        policies.pop(key, None)
    source = f"{name.place.source.name}:{name.place.line + 1}"
    return Entry(
        name=name.text, when=when, what=what, start_us=times[0], end_us=times[1], source=source, **policies
    )


def _catch_up(node: Node, key: str) -> CatchUp:
    return choice(node, key, CatchUp)


def _limit(node: Node, key: str) -> int:
    return count(node, key, 1, MOST_CATCH_UPS)


def _description(node: Node, key: str) -> str:
    return text(node, key)


# Policies that are values by themselves. day_match, dst, timezone, start and end are read with the times.
_POLICIES: dict[str, Callable[[Node, str], Any]] = {
    "catch_up": _catch_up,
    "catch_up_window": duration_us,
    "catch_up_limit": _limit,
    "grace": duration_us,
    "enabled": flag,
    "description": _description,
    "tags": texts,
    "owner": _description,
    "day_match": lambda node, key: choice(node, key, DayMatch),
    "dst": lambda node, key: choice(node, key, Dst),
}
_FIELDS = {"catch_up_window": "catch_up_window_us", "grace": "grace_us"}
# Accepted and checked, but not part of an entry yet; or part of its schedule.
_CHECKED_ONLY = ("tags", "owner", "day_match", "dst")
