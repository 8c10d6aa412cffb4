"""Loader: schedules files into entries, or into all their problems at once.

Who calls it: beat when it starts and when a file changes, and `backbeat check`. `parse` is pure; `load` and `load_all` read files.
The contract: nothing is raised for what a file holds. `Loaded.is_applicable` False (any error) means that the entries are what
could be read, for messages only; the caller must keep the schedules that it runs, whole. Problems are sorted by file and position;
a schedule shows at most one error, all schedules' errors come together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..entry import Entry
from .calendar import Days, read_calendar
from .definition import Definition, Surroundings, check_default, check_name, read_definition
from .document import compose
from .node import Mapping, Pair, Scalar
from .outline import Outline, read_outline
from .problem import Fault, Problem, Severity, quoted
from .reading import Reading
from .unused import unused_warnings
from .workflow import Workflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What files hold. `watched` are the files, and the folders where an include could find more, for `watch.stamp`.

    `definitions` are the entries with the keys that they were read from, `workflows` the named workflows as they are written: both
    for those who check more than a loader can. `serial` orders versions of a file (decisions B13); None where none is written.
    """

    definitions: tuple[Definition, ...] = ()
    problems: tuple[Problem, ...] = ()
    watched: tuple[Path, ...] = ()
    serial: int | None = None
    workflows: MappingOf[str, Pair] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(definition.entry for definition in self.definitions)

    @property
    def is_applicable(self) -> bool:
        """True when there is no error: the entries may replace the running ones. Warnings do not matter."""
        return not any(problem.severity is Severity.ERROR for problem in self.problems)

    def with_problems(self, more: Iterable[Problem]) -> Loaded:
        """The same with more problems, in their places."""
        return replace(self, problems=_sorted([*self.problems, *more]))


def parse(text: str, file_name: str, environ: MappingOf[str, str]) -> Loaded:
    """The entries of one file's text. Nothing is read from disk: an `include:` or an .ics file is an error here. Raises nothing."""
    try:
        outline = read_outline(compose(text, file_name, environ))
    except Fault as fault:
        return Loaded(problems=(Problem.of(fault),))
    for node, _ in outline.includes:
        outline.problems.append(Problem.at(node.place, "E191", "include is served only where files are read"))
    return _assemble([outline], [])


def load(path: Path, environ: MappingOf[str, str]) -> Loaded:
    """The entries of a file and of all that it includes. A file that cannot be read is a problem; raises nothing."""
    reading = Reading(environ)
    reading.read(path)
    return _assemble(reading.outlines, reading.problems, tuple(reading.watched))


def load_all(paths: Sequence[Path], environ: MappingOf[str, str]) -> Loaded:
    """The entries of several files, whose names must differ; zones, defaults, workflows and calendars are each file's own.

    `serial` is the largest that one of them has.
    """
    parts = [load(path, environ) for path in paths]
    if len(parts) == 1:
        return parts[0]
    serials = [part.serial for part in parts if part.serial is not None]
    definitions = tuple(definition for part in parts for definition in part.definitions)
    return Loaded(
        definitions=definitions,
        problems=_sorted(
            [*(problem for part in parts for problem in part.problems), *_repeated(definitions)]
        ),
        watched=tuple(dict.fromkeys(path for part in parts for path in part.watched)),
        serial=max(serials, default=None),
        workflows={name: pair for part in parts for name, pair in part.workflows.items()},
    )


def _repeated(definitions: Sequence[Definition]) -> list[Problem]:
    """Names that stand in more than one file; inside one file and its includes `_check_first` sees them."""
    firsts: dict[str, Definition] = {}
    found = []
    for each in definitions:
        first = firsts.setdefault(each.entry.name, each)
        if first is not each:
            found.append(
                Problem.of(_duplicate("schedule", each.entry.name, each.keys, first.keys), each.entry.name)
            )
    return found


def _assemble(outlines: list[Outline], problems: list[Problem], watched: tuple[Path, ...] = ()) -> Loaded:
    first_workflows: dict[str, Pair] = {}
    first_calendars: dict[str, Pair] = {}
    calendars: dict[str, Days | Fault] = {}
    for outline in outlines:
        _name_workflows(outline, first_workflows)
        _read_calendars(outline, calendars, first_calendars)
    workflows = Workflows(first_workflows)
    definitions = _definitions(outlines, workflows, calendars)
    found = [*problems, *map(Problem.of, workflows.faults)]
    found += [problem for outline in outlines for problem in outline.problems]
    if not any(problem.severity is Severity.ERROR for problem in found):  # else a use may not have been read
        found += unused_warnings(outlines, (each.keys for each in definitions), first_workflows)
    return Loaded(
        definitions=tuple(definitions),
        problems=_sorted(found),
        watched=watched,
        serial=outlines[0].serial if outlines else None,
        workflows=first_workflows,
    )


def _definitions(
    outlines: list[Outline], workflows: Workflows, calendars: MappingOf[str, Days | Fault]
) -> list[Definition]:
    found: list[Definition] = []
    firsts: dict[str, Pair] = {}
    for outline in outlines:
        around = Surroundings(
            timezone=outline.timezone, defaults=None, workflows=workflows, calendars=calendars
        )
        _drop_unsound_defaults(outline, around)
        around = replace(around, defaults=outline.defaults)
        for pair in outline.schedules.values():
            definition = _read_schedule(pair, outline, around, firsts)
            if definition is not None:
                found.append(definition)
    return found


def _check_first(noun: str, pair: Pair, firsts: dict[str, Pair]) -> None:
    """Raise Fault when another file has this name already."""
    first = firsts.setdefault(pair.key.text, pair)
    if first is not pair:
        raise _duplicate(noun, pair.key.text, pair.key, first.key)


def _duplicate(noun: str, name: str, second: Mapping | Scalar, first: Mapping | Scalar) -> Fault:
    where = f"{first.place.source.name}:{first.place.line + 1}"
    message = f"duplicate {noun} {quoted(name)} (first in {where})"
    return Fault(second.place, "E110", message, help="rename one: names count across all files")


def _name_workflows(outline: Outline, firsts: dict[str, Pair]) -> None:
    for name, pair in outline.workflows.items():
        try:
            check_name(pair.key)
            _check_first("workflow", pair, firsts)
        except Fault as fault:
            outline.problems.append(Problem.of(fault.inside(f"workflow {quoted(name)}")))


def _read_calendars(outline: Outline, calendars: dict[str, Days | Fault], firsts: dict[str, Pair]) -> None:
    for name, pair in outline.calendars.items():
        try:
            check_name(pair.key)
            _check_first("calendar", pair, firsts)
            days = read_calendar(pair.value, name) or _file_days(outline, name, pair)
            calendars[name] = days
        except Fault as fault:
            told = fault.inside(f"calendar {quoted(name)}")
            calendars.setdefault(name, told)
            outline.problems.append(Problem.of(told))


def _file_days(outline: Outline, name: str, pair: Pair) -> Days:
    found = outline.files.get(name)
    if isinstance(found, Fault):
        raise found
    if found is None:
        raise Fault(pair.value.place, "E195", "an .ics file is served only where files are read")
    return found


def _drop_unsound_defaults(outline: Outline, around: Surroundings) -> None:
    """Tell of a wrong default once, where it stands, and not again in every schedule that would take it."""
    if outline.defaults is None:
        return
    sound = dict(outline.defaults.pairs)
    for key in outline.defaults.pairs:
        try:
            check_default(key, outline.defaults, around)
        except Fault as fault:
            del sound[key]
            outline.has_broken_defaults = True
            outline.problems.append(Problem.of(fault.inside("defaults")))
    outline.defaults = Mapping(outline.defaults.place, sound)


def _read_schedule(
    pair: Pair, outline: Outline, around: Surroundings, firsts: dict[str, Pair]
) -> Definition | None:
    name = pair.key.text
    warnings: list[Fault] = []
    try:
        _check_first("schedule", pair, firsts)
        if name in outline.spoiled:
            return None
        return read_definition(pair.key, pair.value, around, warnings)
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
