"""Problem: one thing that is wrong in a schedules file, as people, editors and CI read it; and Fault, the exception inside.

The codes: E10x the file as YAML, E11x the shape of a value, E12x keys, E13x what and when, E14x cron, E150 zones, E16x
durations and times, E170 tasks of the app, E182 never fires, E19x things referred to. Those with a W are warnings: the file loads.
Each has a page in docs/errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from .source import Place, Source

LINE_SHOWN = 160  # characters of a source line that a message repeats


class Severity(Enum):
    """Whether the file may be applied."""

    ERROR = "error"
    """The file must not replace the running schedules."""
    WARNING = "warning"
    """The file is applied; a reader should look."""


class Fault(Exception):
    """The first error of one schedule, on its way from the reader of a value to the loop over schedules."""

    def __init__(self, place: Place, code: str, message: str, *, help: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.code = code
        self.message = message
        self.help = help

    def inside(self, where: str) -> Fault:
        """The same fault, whose message says first in which part it lies."""
        return Fault(self.place, self.code, f"{where}: {self.message}", help=self.help)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One error or warning. `line` and `column` count from 1; `schedule` is "" for what belongs to no schedule."""

    file: str
    line: int
    column: int
    code: str
    schedule: str
    message: str
    severity: Severity = field(default=Severity.ERROR, compare=False)
    help: str = field(default="", compare=False)
    source_line: str = field(default="", compare=False)

    @classmethod
    def at(
        cls,
        place: Place,
        code: str,
        message: str,
        *,
        schedule: str = "",
        help: str = "",
    ) -> Problem:
        """A problem at `place`; a code that starts with W is a warning."""
        return cls(
            file=place.source.name,
            line=place.line + 1,
            column=place.column + 1,
            code=code,
            schedule=schedule,
            message=message,
            severity=Severity.WARNING if code.startswith("W") else Severity.ERROR,
            help=help,
            source_line=place.line_text,
        )

    @classmethod
    def about(cls, file: str, code: str, message: str, *, help: str = "") -> Problem:
        """A problem of a file as a whole, without a line."""
        return cls.at(Source.of(file, "").place(0, 0), code, message, help=help)

    @classmethod
    def of(cls, fault: Fault, schedule: str = "") -> Problem:
        """The problem that a fault is, told of `schedule`."""
        return cls.at(fault.place, fault.code, fault.message, schedule=schedule, help=fault.help)

    def render(self) -> str:
        """The lines that a person reads: place, source line, caret, help."""
        who = f"{printable(self.schedule[:LINE_SHOWN])}: " if self.schedule else ""
        place = f"{printable(self.file)}:{self.line}:{self.column}"
        lines = [f"{place}: {self.severity.value} {self.code}: {who}{printable(self.message)}"]
        if self.source_line.strip():
            shown, column = _window(self.source_line, self.column - 1)
            lines.append(f"  {shown}".rstrip())
            lines.append(f"  {' ' * column}^")
        if self.help:
            lines.append(f"help: {printable(self.help)}")
        return "\n".join(lines)

    def to_github(self) -> str:
        """The problem as a command of a GitHub workflow, which shows it at its line."""
        who = f"{printable(self.schedule[:LINE_SHOWN])}: " if self.schedule else ""
        text = "\n".join([f"{who}{self.message}", *([f"help: {self.help}"] if self.help else [])])
        place = f"file={_property(self.file)},line={self.line},col={self.column},title={self.code}"
        return f"::{self.severity.value} {place}::{_escaped(text)}"

    def to_json(self) -> dict[str, str | int]:
        """The problem as JSON data, for editors and for the dashboard."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "severity": self.severity.value,
            "code": self.code,
            "schedule": self.schedule,
            "message": self.message,
            "help": self.help,
            "source_line": self.source_line,
        }


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def printable(text: str) -> str:
    """Text for a terminal: what a file can hold must not move the cursor or colour the log."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else " " if char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def quoted(text: str, limit: int = 60) -> str:
    """A value as messages repeat it: in double quotes, shortened."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    return f'"{shown}"'


def _window(line: str, column: int) -> tuple[str, int]:
    start = max(0, min(column - LINE_SHOWN // 2, len(line) - LINE_SHOWN))
    return printable(line[start : start + LINE_SHOWN]), column - start
