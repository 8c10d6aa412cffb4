"""Document: the text of a schedules file as a tree of nodes that know their places.

PURE. It is built from the parser's events (libyaml's where PyYAML has it, else PyYAML's own) in one loop without recursion, so
that no nesting can exhaust a stack. What stops the parser ends the file with one Fault. What is wrong in one place only - a repeated
key, a tag, a variable that is not set - is a flaw: it is noted with the schedule that it stands in, and reading goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Any

import yaml

from .node import Mapping, Node, Pair, Scalar, Sequence
from .problem import Fault, quoted
from .scalar import ScalarRefusedError, ScalarValue, resolve
from .source import Place, Source
from .syntax import DEPTH, explain, misread, too_deep
from .variable import VariableError, substitute

EXPANDED_NODES = 100_000  # beyond the file's own, by aliases
CHARACTERS = 64 * 1024 * 1024

_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_NOUNS = {"schedules": "schedule", "workflows": "workflow", "calendars": "calendar"}
PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Flaw:
    """A fault that spoils one schedule ("" for none) and leaves the rest of the file readable."""

    schedule: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file; root None is one of comments alone."""

    source: Source
    root: Node | None
    flaws: tuple[Flaw, ...] = ()


def compose(text: str, file_name: str, environ: MappingOf[str, str], *, parser: Any = PARSER) -> Document:
    """The document that `text` holds, with variables put in. Raises Fault where the text as a whole cannot be read."""
    text = text.removeprefix("\ufeff")
    source = Source.of(file_name, text)
    if len(text) > CHARACTERS:
        raise Fault(
            source.place(0, 0), "E100", "the file is larger than 64 MB", help="split it, with include:"
        )
    if not text.strip():
        # What a write that was cut off leaves behind. Read as "no schedules" it would remove every one that runs.
        raise Fault(source.place(0, 0), "E105", "the file is empty", help="write `schedules: {}` for none")
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        place = source.place_of_index(unreadable.start())
        code_point = f"U+{ord(unreadable.group()):04X}"
        raise Fault(
            place, "E100", f"the character {code_point} may not stand in a YAML file", help="remove it"
        )
    builder = _Builder(source, environ)
    try:
        for event in yaml.parse(text, Loader=parser):
            builder.take(event)
    except yaml.YAMLError as error:
        raise explain(error, source) from error
    except (ValueError, OverflowError) as error:  # PyYAML's own scanner, for "\UFFFFFFFF"
        raise Fault(source.place(0, 0), "E101", f"not valid YAML: {error}") from error
    return Document(source, builder.root, tuple(builder.flaws))


@dataclass(slots=True)
class _Frame:
    """A container whose end has not come yet."""

    place: Place
    anchor: str | None
    is_mapping: bool
    items: list[Node] = field(default_factory=list)
    pairs: dict[str, Pair] = field(default_factory=dict)
    key: Scalar | None = None
    dropped: bool = False  # the value that comes belongs to a key that was refused
    size: int = 1
    height: int = 0

    def close(self) -> Node:
        if self.is_mapping:
            return Mapping(self.place, self.pairs, self.size, self.height + 1)
        return Sequence(self.place, tuple(self.items), self.size, self.height + 1)


class _Builder:
    """Turns events into nodes; `root` and `flaws` are the result."""

    def __init__(self, source: Source, environ: MappingOf[str, str]) -> None:
        self.source = source
        self.environ = environ
        self.root: Node | None = None
        self.flaws: list[Flaw] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, Node | None] = {}  # None: its container is still open
        self.documents = 0
        self.expanded = 0

    def take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                frame = self.stack.pop()
                node = frame.close()
                if frame.anchor is not None:
                    self.anchors[frame.anchor] = node
                self._add(node)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._document(event)

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise Fault(
                self._place(event),
                "E104",
                "a second document starts here",
                help="one document a file; split it, with include:",
            )

    def _scalar(self, event: Any) -> None:
        place = self._place(event)
        self._refuse_tag(event, place)
        text: str = event.value
        if event.style == '"' and _NOT_TEXT.search(text):
            self._flaw(
                Fault(
                    place, "E104", "text may not hold NUL or half a surrogate pair", help="remove the escape"
                )
            )
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.is_mapping and frame.key is None:
            self._key(frame, Scalar(place, text, text), is_plain=not event.style)
            return
        node = Scalar(place, self._value(text, place, is_plain=not event.style), text)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self._add(node)

    def _value(self, text: str, place: Place, *, is_plain: bool) -> ScalarValue:
        try:
            value = resolve(text) if is_plain else text
            if not isinstance(value, str) or "$" not in value:
                return value
            value = substitute(value, self.environ)
            if not _NOT_TEXT.search(value):
                return value
            self._flaw(
                Fault(place, "E190", "a variable holds bytes that are not UTF-8", help="set it to text")
            )
        except ScalarRefusedError as error:
            self._flaw(Fault(place, "E104", str(error), help=error.help))
        except VariableError as error:
            self._flaw(Fault(place, "E190", str(error), help=error.help))
        return text

    def _key(self, frame: _Frame, key: Scalar, *, is_plain: bool) -> None:
        frame.key = key
        frame.size += 1
        first = frame.pairs.get(key.text)
        if first is not None:
            frame.dropped = True
            above = self.stack[0].key if len(self.stack) == 2 else None  # noqa: PLR2004 - names of the second level
            noun = _NOUNS.get(above.text, "key") if above else "key"
            line = first.key.place.line + 1
            message = f"duplicate {noun} {quoted(key.text)} (first on line {line})"
            self._flaw(Fault(key.place, "E110", message, help="remove or rename one"))
        elif is_plain and key.text == "<<":
            frame.dropped = True
            message = "`<<` merges mappings in YAML 1.1 only"
            self._flaw(
                Fault(
                    key.place,
                    "E104",
                    message,
                    help="put what schedules share under defaults:, or write an alias for a whole value",
                )
            )

    def _open(self, event: Any) -> None:
        place = self._place(event)
        self._refuse_tag(event, place)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.is_mapping and frame.key is None:
            raise Fault(
                place,
                "E104",
                "a key must be text",
                help="`{…}` and `[…]` as values may need quotes around them",
            )
        if len(self.stack) >= DEPTH:
            raise too_deep(place)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.stack.append(_Frame(place, event.anchor, isinstance(event, yaml.MappingStartEvent)))

    def _alias(self, event: Any) -> None:
        place = self._place(event)
        if event.anchor not in self.anchors:
            raise misread(place)
        node = self.anchors[event.anchor]
        if node is None:
            raise Fault(place, "E103", f"*{event.anchor} stands inside itself", help="write the value out")
        frame = self.stack[-1]
        if frame.is_mapping and frame.key is None:
            raise Fault(place, "E104", "a key must be text, not an alias", help="write the key out")
        self.expanded += node.size
        if self.expanded > EXPANDED_NODES:
            raise Fault(
                place,
                "E103",
                f"aliases add more than {EXPANDED_NODES:,} values to the file",
                help="use fewer aliases",
            )
        if len(self.stack) + node.height > DEPTH:
            raise Fault(
                place,
                "E103",
                f"nested more than {DEPTH} levels deep by *{event.anchor}",
                help="write it flatter",
            )
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        frame.size += node.size
        frame.height = max(frame.height, node.height)
        if not frame.is_mapping:
            frame.items.append(node)
            return
        if frame.key is not None and not frame.dropped:
            frame.pairs[frame.key.text] = Pair(frame.key, node)
        frame.key = None
        frame.dropped = False

    def _refuse_tag(self, event: Any, place: Place) -> None:
        if event.tag is not None:
            message = f"the tag {quoted(event.tag)} is not allowed"
            self._flaw(
                Fault(
                    place,
                    "E104",
                    message,
                    help="values are text, numbers, true/false, lists and mappings; put quotes around text",
                )
            )

    def _flaw(self, fault: Fault) -> None:
        self.flaws.append(Flaw(self._schedule(), fault))

    def _schedule(self) -> str:
        top = self.stack[0].key if self.stack else None
        if top is None or top.text != "schedules" or len(self.stack) < 2:  # noqa: PLR2004 - names stand on the second level
            return ""
        name = self.stack[1].key
        return name.text if name else ""

    def _place(self, event: Any) -> Place:
        return self.source.place(event.start_mark.line, event.start_mark.column)
