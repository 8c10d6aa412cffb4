"""Source: the text of one schedules file, and the places in it that messages point at.

PURE data. A `Place` counts lines and columns from zero, as the parser does; only `Problem` speaks of line 1.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from dataclasses import dataclass

# What YAML 1.1 parsers (libyaml, PyYAML) count as a line break; str.splitlines() breaks at more characters.
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One file's name, as messages show it, its text, and where each line starts: a list of the lines would weigh many times more."""

    name: str
    text: str
    starts: array[int]

    @classmethod
    def of(cls, name: str, text: str) -> Source:
        """The source of `text`."""
        starts = array("I", (0,))
        starts.extend(found.end() for found in LINE_BREAK.finditer(text))
        return cls(name, text, starts)

    def line(self, number: int) -> str:
        """Line `number`, from zero, without its end; the last one for a place behind the end."""
        number = min(number, len(self.starts) - 1)
        start = self.starts[number]
        return self.text[start : start + self._length(number)]

    def place(self, line: int, column: int) -> Place:
        """The place nearest to (line, column) that lies inside the text: parsers report the end as one line more."""
        last = len(self.starts) - 1
        if line > last:
            return Place(self, last, self._length(last))
        return Place(self, line, min(column, self._length(line)))

    def place_of_index(self, index: int) -> Place:
        """The place of the character text[index]."""
        line = bisect_right(self.starts, index) - 1
        return Place(self, line, index - self.starts[line])

    def _length(self, line: int) -> int:
        if line + 1 == len(self.starts):
            return len(self.text) - self.starts[line]
        end = self.starts[line + 1]
        return end - self.starts[line] - (2 if self.text.startswith("\r\n", end - 2) else 1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in which file; line and column from zero."""

    source: Source
    line: int
    column: int

    @property
    def line_text(self) -> str:
        return self.source.line(self.line)
