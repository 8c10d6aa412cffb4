"""Syntax: what a YAML parser's complaint means to a person who wrote a schedule.

PURE. libyaml says "did not find expected alphabetic or numeric character" for `cron: */5 * * * *`; this says that the star
starts an alias, and prints the line with quotes around the value.
"""

from __future__ import annotations

import re

import yaml

from .problem import Fault, quoted
from .source import Place, Source

# A value that starts with a character of YAML's own: after "key: ", "- ", or an opening bracket.
# A star may stand alone: `cron: * * * * *`.
_RESERVED = re.compile(r"(?:^\s*|[:\-?,]\s+|[\[{]\s*)(\*|[&!%@`|>](?=[^\s]))")
_MEANINGS = {
    "*": "`*` starts an alias",
    "&": "`&` names an anchor",
    "!": "`!` starts a tag",
    "%": "`%` is reserved",
    "@": "`@` is reserved",
    "`": "a backtick is reserved",
    "|": "`|` starts a block of text",
    ">": "`>` starts a block of text",
}
_KEY = re.compile(r"^\s*(?:- )?\s*([^\s:]+):\s+")
_DEPTH_OF_LIBYAML = "maximum nesting depth"
_INDENT = re.compile(r"[ \t]*")
DEPTH = 20


def explain(error: yaml.YAMLError, source: Source) -> Fault:
    """The parser's error as a fault with a hint: a quote that is missing, a tab, or the parser's own words."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = source.place(0, 0) if mark is None else source.place(mark.line, mark.column)
    if _DEPTH_OF_LIBYAML in str(getattr(error, "problem", None)):
        # it looks far ahead for the end of a key, and meets its own limit before we meet ours
        return too_deep(place)
    return _tab(place) or _reserved(place) or _other(error, place)


def too_deep(place: Place) -> Fault:
    """The fault of a list or mapping at `place` that more than DEPTH others enclose."""
    message = f"nested more than {DEPTH} levels deep"
    return Fault(place, "E103", message, help="pass deep data as text, or let the task load it")


def _tab(place: Place) -> Fault | None:
    found = _INDENT.match(place.line_text)
    column = found.group().find("\t") if found else -1
    if column < 0:
        return None
    at = Place(place.source, place.line, column)
    return Fault(at, "E102", "a tab is used for indentation", help="use two spaces")


def _reserved(place: Place) -> Fault | None:
    line = place.line_text
    near = [found for found in _RESERVED.finditer(line) if found.start(1) <= place.column + 1]
    if not near:
        return None
    start = near[-1].start(1)
    return misread(Place(place.source, place.line, start))


def misread(place: Place) -> Fault:
    """The fault of an unquoted value at `place` whose first character means something to YAML."""
    value = place.line_text[place.column :].split(" #", 1)[0].rstrip()
    for opening, closing in ("{}", "[]"):  # of a flow collection that was opened before the value
        while value.endswith(closing) and value.count(closing) > value.count(opening):
            value = value[:-1].rstrip()
    key = _KEY.match(place.line_text)
    shown = f'"{value[:80]}"'
    if key and key.end() == place.column:
        shown = f"{key.group(1)[:40]}: {shown}"
    meaning = _MEANINGS.get(value[:1], f"{quoted(value[:1])} is reserved")
    return Fault(place, "E101", f"not valid YAML: {meaning}", help=f"put quotes around it: `{shown}`")


def _other(error: yaml.YAMLError, place: Place) -> Fault:
    problem = str(getattr(error, "problem", None) or "it cannot be parsed")
    context = getattr(error, "context", None)
    words = f"{context}: {problem}" if context else problem
    if "mapping values" in problem:
        return Fault(
            place,
            "E101",
            "not valid YAML: a second `: ` in a value, or a wrong indentation",
            help="put quotes around a value that holds `: `; keys of one level start in one column",
        )
    start = getattr(error, "context_mark", None)
    if start and context and "quoted scalar" in context:
        opened = place.source.place(start.line, start.column)
        return Fault(
            opened,
            "E101",
            "not valid YAML: the quote that starts here is not closed",
            help='close it; inside double quotes write \\" and \\\\',
        )
    since = f" (it starts on line {start.line + 1})" if context and start and start.line != place.line else ""
    return Fault(
        place,
        "E101",
        f"not valid YAML: {words}{since}",
        help="look for a missing quote, bracket or colon, here or just above",
    )
