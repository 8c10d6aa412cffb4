"""Reading: a schedules file, what it includes and the calendars that it names, from disk.

Each file is read once, so that files may include each other. What cannot be read is a problem, never an exception. Called by
loader.py only; what the files mean is not decided here.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping as MappingOf
from pathlib import Path

from .calendar import Days
from .document import CHARACTERS, Document, compose
from .ics import LARGEST, IcsError, days_in
from .node import Node, Scalar
from .outline import Outline, read_outline
from .problem import Fault, Problem, quoted
from .source import Source

UNREADABLE = "cannot be read"
"""How the message begins of a file that is there, and that the system does not give."""
FILES = 10_000  # that includes may reach together


class Reading:
    """Reads a file and what belongs to it; `outlines`, `problems` and `watched` are the result."""

    def __init__(self, environ: MappingOf[str, str]) -> None:
        self.environ = environ
        self.outlines: list[Outline] = []
        self.problems: list[Problem] = []
        self.watched: dict[Path, None] = {}
        self.seen: set[str] = set()
        self.asked = 0

    def read(self, path: Path) -> None:
        """Read `path`, then what it includes, then what those include."""
        waiting: deque[tuple[Path, Outline | None]] = deque([(path, None)])
        while waiting:
            path, above = waiting.popleft()
            identity = os.path.realpath(path)
            if identity in self.seen:
                continue
            self.seen.add(identity)
            self.watched[path] = None
            document = self._document(path)
            if document is None:
                continue
            outline = read_outline(document, above)
            self.outlines.append(outline)
            self._read_calendars(path.parent, outline)
            for node, pattern in outline.includes:
                waiting.extend((found, outline) for found in self._included(path, node, pattern, outline))

    def _document(self, path: Path) -> Document | None:
        try:
            return compose(_text(path), str(path), self.environ)
        except Fault as fault:
            self.problems.append(Problem.of(fault))
        return None

    def _read_calendars(self, folder: Path, outline: Outline) -> None:
        """Read the .ics files that calendars name, beside the file that names them."""
        for name, pair in outline.calendars.items():
            node = pair.value
            if (
                isinstance(node, Scalar)
                and isinstance(node.value, str)
                and node.value.lower().endswith(".ics")
            ):
                path = folder / node.value
                self.watched[path] = None
                outline.files[name] = _days(path, node)

    def _included(self, path: Path, node: Node, pattern: str, outline: Outline) -> list[Path]:
        try:
            found = _matches(path.parent, pattern)
        except (ValueError, OSError) as error:
            outline.problems.append(Problem.at(node.place, "E191", f"include {quoted(pattern)}: {error}"))
            return []
        self.watched[_fixed_folder(path.parent, pattern)] = None
        if not found:
            message = f"include {quoted(pattern)} matches nothing"
            hint = f"patterns are relative to {path.parent.resolve()}"
            outline.problems.append(Problem.at(node.place, "E191", message, help=hint))
        self.asked += len(found)
        if self.asked > FILES:
            message = f"include {quoted(pattern)}: more than {FILES:,} files"
            outline.problems.append(Problem.at(node.place, "E191", message, help="use fewer, larger files"))
            return []
        return found


def _text(path: Path) -> str:
    """A file's text. Raises Fault where it cannot be read or is not UTF-8."""
    content = _content(path)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        # only what stands before the byte is decoded, for a place in a large file costs no second copy of it
        before = content[: error.start].decode("utf-8")
        rest = content[error.start : error.start + 1_000].decode("utf-8", "replace")
        place = Source.of(str(path), before + rest).place_of_index(len(before))
        hint = "save the file as UTF-8"
        raise Fault(place, "E100", f"not UTF-8: byte 0x{content[error.start]:02x}", help=hint) from error


def _content(path: Path) -> bytes:
    """At most CHARACTERS bytes; a pipe or a device has no size, so the size alone does not tell."""
    place = Source.of(str(path), "").place(0, 0)
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size <= CHARACTERS:
                content = file.read(CHARACTERS + 1)
                if len(content) <= CHARACTERS:
                    return content
    except OSError as error:
        raise Fault(place, "E100", f"{UNREADABLE}: {error.strerror or error}") from error
    raise Fault(place, "E100", "the file is larger than 64 MB", help="split it, with include:")


def _days(path: Path, node: Node) -> Days | Fault:
    """What an .ics file holds, or why that cannot be told."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            return Fault(
                node.place, "E195", f"{path} is larger than 1 MB", help="use a calendar of holidays only"
            )
        return days_in(content)
    except OSError as error:
        hint = f"the name is relative to {path.parent.resolve()}"
        return Fault(node.place, "E195", f"{path} cannot be read: {error.strerror or error}", help=hint)
    except ValueError as error:  # also a name with a NUL
        hint = error.help if isinstance(error, IcsError) else ""
        return Fault(node.place, "E195", f"{path}: {error}", help=hint)


def _matches(folder: Path, pattern: str) -> list[Path]:
    """Files that match, sorted; hidden ones only where the pattern asks for them: editors keep locks and copies beside a file."""
    pure = Path(pattern)
    if pure.anchor:
        folder, pattern = Path(pure.anchor), str(pure.relative_to(pure.anchor))
    is_hidden_asked = pure.name.startswith(".")
    found = (each for each in folder.glob(pattern) if is_hidden_asked or not each.name.startswith("."))
    return sorted(each for each in found if each.is_file())


def _fixed_folder(folder: Path, pattern: str) -> Path:
    """The deepest folder that `pattern` names before its first wildcard."""
    for part in Path(pattern).parts[:-1]:
        if any(char in part for char in "*?["):
            break
        folder = folder / part
    return folder
