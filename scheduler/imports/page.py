"""Page: a haul as the text of a schedules file, each schedule read back by the loader before it is written.

What the loader would refuse, or read as something else, is not written but listed, with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap

from ..errors import ScheduleError
from ..files import Severity, parse
from ..schedule import Crontab
from .definition import definition_of
from .haul import Draft, Haul, Unmapped
from .yaml_text import key, mapping_text, text

_WIDTH = 130
_COMMON = 4
"""A note on so many schedules is written once, at the head of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The file, and which schedules stand in it."""

    text: str
    drafts: tuple[Draft, ...]
    unmapped: tuple[Unmapped, ...]


def page_of(haul: Haul) -> Page:
    """The file of a haul."""
    zone = _file_zone(haul)
    head = f"timezone: {text(zone)}\n\nschedules:"
    blocks: list[str] = []
    drafts: list[Draft] = []
    names: set[str] = set()
    unmapped = list(haul.unmapped)
    counts = Counter(note for draft in haul.drafts for note in draft.notes)
    common = {note: count for note, count in counts.items() if count >= _COMMON}
    for draft in haul.drafts:
        try:
            block = f"  {key(draft.entry.name)}:\n{mapping_text(definition_of(draft.entry, zone), 4)}"
            _check(draft, f"{head}\n{block}", names)
        except ScheduleError as error:
            unmapped.append(Unmapped(name=draft.entry.name, reason=error.message))
            continue
        notes = [
            *(note for note in draft.notes if note not in common),
            *(f"LOST: {each}" for each in draft.lost),
        ]
        blocks.append("".join(_comment(note, 2) for note in notes) + block)
        drafts.append(draft)
        names.add(draft.entry.name)
    body = "\n" + "\n".join(blocks) if blocks else " {}\n"
    tail = "".join(_comment(line, 0) for line in _unmapped_lines(unmapped))
    whole = f"{_introduction(haul, common)}{head}{body}" + (f"\n{tail}" if tail else "")
    return Page(text=whole, drafts=tuple(drafts), unmapped=tuple(unmapped))


def _introduction(haul: Haul, common: Mapping[str, int]) -> str:
    first = f"Imported from {haul.origin} by `backbeat import`. docs/migrating.md explains the notes."
    shared = [f"{count} schedules: {note}" for note, count in common.items()]
    return "".join(_comment(line, 0) for line in (first, *haul.remarks, *shared)) + "\n"


def _unmapped_lines(unmapped: list[Unmapped]) -> list[str]:
    if not unmapped:
        return []
    lines = [f"{each.name}: {each.reason}" + (f" [{each.text}]" if each.text else "") for each in unmapped]
    return ["NOT IMPORTED:", *lines]


def _check(draft: Draft, written: str, names: set[str]) -> None:
    """Raise ScheduleError unless the loader reads back what was meant, and nothing in `names` is called so."""
    if draft.entry.name in names:
        raise ScheduleError("another schedule has this name")
    loaded = parse(written, draft.entry.name, {})
    errors = [problem for problem in loaded.problems if problem.severity is Severity.ERROR]
    if errors:
        raise ScheduleError(f"{errors[0].code} {errors[0].message}", help=errors[0].help)
    if list(loaded.entries) != [draft.entry]:
        raise ScheduleError("a schedules file cannot say this: what is read back differs")


def _comment(line: str, indent: int) -> str:
    clean = "".join(char if char.isprintable() else " " for char in line)
    parts = wrap(clean, _WIDTH - indent - 2) or [""]
    return "".join(f"{' ' * indent}# {part}".rstrip() + "\n" for part in parts)


def _file_zone(haul: Haul) -> str:
    """The zone that most crontabs have."""
    zones = Counter(
        draft.entry.when.timezone for draft in haul.drafts if isinstance(draft.entry.when, Crontab)
    )
    return zones.most_common(1)[0][0] if zones else "UTC"
