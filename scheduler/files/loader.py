"""Loader: schedules files into entries, or into all their problems at once.

Who calls it: beat when it starts and when a file changes, and `backbeat check`. `parse` is pure; `load` reads files.
The contract: nothing is raised for what a file holds. `Loaded.is_applicable` False (any error) means that the entries are what
could be read, for messages only; the caller must keep the schedules that it runs, whole. Problems are sorted by file and position;
a schedule shows at most one error, all schedules' errors come together.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from pathlib import Path

from ..entry import Entry
from .definition import Surroundings, check_default, check_name, read_entry
from .document import CHARACTERS, Document, compose
from .node import Mapping, Node, Pair
from .outline import Outline, read_outline
from .problem import Fault, Problem, Severity, quoted
from .source import Source
from .step import Signature, read_step

FILES = 10_000  # that includes may reach together


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What files hold. `watched` are the files, and the folders where an include could find more, for `watch.stamp`."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    watched: tuple[Path, ...] = ()

    @property
    def is_applicable(self) -> bool:
        """True when there is no error: the entries may replace the running ones. Warnings do not matter."""
        return not any(problem.severity is Severity.ERROR for problem in self.problems)


def parse(text: str, file_name: str, environ: MappingOf[str, str]) -> Loaded:
    """The entries of one file's text. An `include:` is an error here, since nothing is read from disk. Raises nothing."""
    try:
        outline = read_outline(compose(text, file_name, environ))
    except Fault as fault:
        return Loaded(problems=(Problem.of(fault),))
    for node, _ in outline.includes:
        outline.problems.append(Problem.at(node.place, "E191", "include is served only where files are read"))
    return _assemble([outline], [])


def load(path: Path, environ: MappingOf[str, str]) -> Loaded:
    """The entries of a file and of all that it includes. A file that cannot be read is a problem; raises nothing."""
    reading = _Reading(environ)
    reading.read(path)
    return _assemble(reading.outlines, reading.problems, tuple(reading.watched))


class _Reading:
    """Reads a file and what it includes, each file once, so that files may include each other."""

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
            for node, pattern in outline.includes:
                waiting.extend((found, outline) for found in self._included(path, node, pattern, outline))

    def _document(self, path: Path) -> Document | None:
        try:
            return compose(_text(path), str(path), self.environ)
        except Fault as fault:
            self.problems.append(Problem.of(fault))
        return None

    def _included(self, path: Path, node: Node, pattern: str, outline: Outline) -> list[Path]:
        try:
            found = _matches(path.parent, pattern)
        except (ValueError, OSError, NotImplementedError) as error:
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
    try:
        with path.open("rb") as file:
            content = file.read(CHARACTERS + 1)
    except OSError as error:
        place = Source.of(str(path), "").place(0, 0)
        raise Fault(place, "E100", f"cannot be read: {error.strerror or error}") from error
    if len(content) > CHARACTERS:
        place = Source.of(str(path), "").place(0, 0)
        raise Fault(place, "E100", "the file is larger than 64 MB", help="split it, with include:")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        text = content.decode("utf-8", "replace")
        place = Source.of(str(path), text).place_of_index(text, len(before))
        raise Fault(
            place, "E100", f"not UTF-8: byte 0x{content[error.start]:02x}", help="save the file as UTF-8"
        ) from error


def _matches(folder: Path, pattern: str) -> list[Path]:
    """Files that match, sorted; hidden ones only where the pattern asks for them: editors keep locks and copies beside a file."""
    pure = Path(pattern)
    if pure.is_absolute():
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


def _assemble(outlines: list[Outline], problems: list[Problem], watched: tuple[Path, ...] = ()) -> Loaded:
    workflows: dict[str, Signature | Fault] = {}
    first_workflows: dict[str, Pair] = {}
    first_schedules: dict[str, Pair] = {}
    for outline in outlines:
        _read_workflows(outline, workflows, first_workflows)
    entries: list[Entry] = []
    for outline in outlines:
        _drop_unsound_defaults(outline, workflows)
        around = Surroundings(timezone=outline.timezone, defaults=outline.defaults, workflows=workflows)
        for pair in outline.schedules.values():
            entry = _read_schedule(pair, outline, around, first_schedules)
            if entry is not None:
                entries.append(entry)
    found = [*problems, *(problem for outline in outlines for problem in outline.problems)]
    return Loaded(entries=tuple(entries), problems=_sorted(found), watched=watched)


def _check_first(noun: str, pair: Pair, firsts: dict[str, Pair]) -> None:
    """Raise Fault when another file has this name already."""
    first = firsts.setdefault(pair.key.text, pair)
    if first is not pair:
        where = f"{first.key.place.source.name}:{first.key.place.line + 1}"
        message = f"duplicate {noun} {quoted(pair.key.text)} (first in {where})"
        raise Fault(pair.key.place, "E110", message, help="rename one: names count across all files")


def _read_workflows(
    outline: Outline, workflows: dict[str, Signature | Fault], firsts: dict[str, Pair]
) -> None:
    for name, pair in outline.workflows.items():
        try:
            check_name(pair.key)
            _check_first("workflow", pair, firsts)
            workflows[name] = read_step(pair.value)
        except Fault as fault:
            told = fault.inside(f"workflow {quoted(name)}")
            workflows.setdefault(name, told)
            outline.problems.append(Problem.of(told))


def _drop_unsound_defaults(outline: Outline, workflows: MappingOf[str, Signature | Fault]) -> None:
    """Tell of a wrong default once, where it stands, and not again in every schedule that would take it."""
    if outline.defaults is None:
        return
    sound = dict(outline.defaults.pairs)
    for key in outline.defaults.pairs:
        try:
            check_default(key, outline.defaults, outline.timezone, workflows)
        except Fault as fault:
            del sound[key]
            outline.has_broken_defaults = True
            outline.problems.append(Problem.of(fault.inside("defaults")))
    outline.defaults = Mapping(outline.defaults.place, sound)


def _read_schedule(
    pair: Pair, outline: Outline, around: Surroundings, firsts: dict[str, Pair]
) -> Entry | None:
    name = pair.key.text
    warnings: list[Fault] = []
    try:
        _check_first("schedule", pair, firsts)
        if name in outline.spoiled:
            return None
        return read_entry(pair.key, pair.value, around, warnings)
    except Fault as fault:
        # A what or when that is missing may be the default that was refused.
        if fault.code not in {"E130", "E132"} or not outline.has_broken_defaults:
            outline.problems.append(Problem.of(fault, name))
        return None
    finally:
        outline.problems += [Problem.of(warning, name) for warning in warnings]


def _sorted(problems: list[Problem]) -> tuple[Problem, ...]:
    """Problems by position: one a place, one error a schedule."""
    told: set[tuple[str, int, int]] = set()
    faulty: set[tuple[str, str]] = set()
    kept: list[Problem] = []
    for problem in sorted(problems):
        is_error = problem.severity is Severity.ERROR
        place = (problem.file, problem.line, problem.column)
        owner = (problem.file, problem.schedule)
        if place in told or (is_error and problem.schedule and owner in faulty):
            continue
        told.add(place)
        if is_error:
            faulty.add(owner)
        kept.append(problem)
    return tuple(kept)
