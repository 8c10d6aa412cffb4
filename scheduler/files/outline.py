"""Outline: the top level of one schedules file, read and inherited, before its schedules are.

PURE. An included file takes the timezone and the defaults of the file that includes it, key by key, and may have its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .calendar import Days
from .document import Document
from .node import Mapping, Node, Pair, Scalar, is_null
from .problem import Fault, Problem
from .scalar import MOST
from .timing import read_zone
from .value import count, mapping, texts
from .vocabulary import DEFAULTS, FILE, check_keys

VERSION = 1


@dataclass(slots=True, kw_only=True)
class Outline:
    """One file's settings and the mappings that its schedules and workflows are read from."""

    document: Document
    is_included: bool = False
    timezone: str = "UTC"
    defaults: Mapping | None = None
    serial: int | None = None
    includes: list[tuple[Node, str]] = field(default_factory=list)
    calendars: dict[str, Pair] = field(default_factory=dict)
    # the days of calendars that stand in .ics files
    files: dict[str, Days | Fault] = field(default_factory=dict)
    workflows: dict[str, Pair] = field(default_factory=dict)
    schedules: dict[str, Pair] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    has_broken_defaults: bool = False
    spoiled: frozenset[str] = frozenset()  # names of schedules that have a flaw already


def read_outline(document: Document, above: Outline | None = None) -> Outline:
    """The outline of a document that `above` includes; every top-level key may add one problem."""
    spoiled = frozenset(flaw.schedule for flaw in document.flaws)
    outline = Outline(document=document, is_included=above is not None, spoiled=spoiled)
    if above is not None:
        outline.timezone, outline.defaults = above.timezone, above.defaults
        outline.has_broken_defaults = above.has_broken_defaults
    outline.problems += [Problem.of(flaw.fault, flaw.schedule) for flaw in document.flaws]
    if document.root is None or is_null(document.root):
        return outline
    try:
        root = mapping(document.root, "a schedules file", help="write `schedules:` at its top")
        _read_keys(root, outline)
    except Fault as fault:
        outline.problems.append(Problem.of(fault))
    return outline


def _read_keys(root: Mapping, outline: Outline) -> None:
    for name, pair in root.pairs.items():
        try:
            check_keys(Mapping(root.place, {name: pair}), FILE)
            if not is_null(pair.value):
                _read_key(name, pair.value, outline)
        except Fault as fault:
            outline.has_broken_defaults |= name == "defaults"
            outline.problems.append(Problem.of(fault))


def _read_key(name: str, node: Node, outline: Outline) -> None:
    match name:
        case "version":
            _check_version(node)
        case "timezone":
            outline.timezone = read_zone(node)
        case "serial":
            outline.serial = _serial(node, is_included=outline.is_included)
        case "include":
            outline.includes = texts(node, "include")
        case "defaults":
            _read_defaults(mapping(node, "defaults"), outline)
        case "calendars":
            outline.calendars = _named(node, "calendars", "write `holidays: [2026-12-25]` below it").pairs
        case "workflows":
            outline.workflows = _named(node, "workflows").pairs
        case "schedules":
            outline.schedules = _named(node, "schedules").pairs


def _named(
    node: Node, key: str, hint: str = "write `ping:` on its own line instead of `- task: …`"
) -> Mapping:
    return mapping(node, key, help=hint, what="a mapping of names")


def _serial(node: Node, *, is_included: bool) -> int:
    if is_included:
        raise Fault(
            node.place,
            "E121",
            "serial belongs into the file that includes this one",
            help="it counts for all files together",
        )
    return count(node, "serial", 0, MOST)


def _check_version(node: Node) -> None:
    if not isinstance(node, Scalar) or node.text != str(VERSION):
        raise Fault(
            node.place,
            "E114",
            f"version must be {VERSION}",
            help=f"write `version: {VERSION}`, or leave it out",
        )


def _read_defaults(own: Mapping, outline: Outline) -> None:
    sound = dict(own.pairs)
    for name, pair in own.pairs.items():
        try:
            check_keys(Mapping(own.place, {name: pair}), DEFAULTS)
        except Fault as fault:
            del sound[name]
            outline.has_broken_defaults = True
            outline.problems.append(Problem.of(fault.inside("defaults")))
    inherited = {} if outline.defaults is None else dict(outline.defaults.pairs)
    if "options" in inherited and "options" in sound:
        sound["options"] = _merged(inherited["options"], sound["options"])
    outline.defaults = Mapping(own.place, inherited | sound)


def _merged(above: Pair, own: Pair) -> Pair:
    if isinstance(above.value, Mapping) and isinstance(own.value, Mapping):
        return Pair(own.key, Mapping(own.value.place, above.value.pairs | own.value.pairs))
    return own
