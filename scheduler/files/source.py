"""Source: the text of one schedules file, and the places in it that messages point at.

PURE data. A `Place` counts lines and columns from zero, as the parser does; only `Problem` speaks of line 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# What YAML 1.1 parsers (libyaml, PyYAML) count as a line break; str.splitlines() breaks at more characters.
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One file's name, as messages show it, and its lines without their ends."""

    name: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, name: str, text: str) -> Source:
        """The source of `text`."""
        return cls(name, tuple(LINE_BREAK.split(text)))

    def line(self, number: int) -> str:
        """Line `number`, from zero; the last one for a place behind the end."""
        return self.lines[min(number, len(self.lines) - 1)]

    def place(self, line: int, column: int) -> Place:
        """The place nearest to (line, column) that lies inside the text: parsers report the end as one line more."""
        if line >= len(self.lines):
            return Place(self, len(self.lines) - 1, len(self.lines[-1]))
        return Place(self, line, min(column, len(self.lines[line])))

    def place_of_index(self, text: str, index: int) -> Place:
        """The place of the character text[index]; `text` is what this source was made of."""
        before = LINE_BREAK.split(text[:index])
        return self.place(len(before) - 1, len(before[-1]))


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file; line and column from zero."""

    source: Source
    line: int
    column: int

    @property
    def line_text(self) -> str:
        return self.source.line(self.line)
