"""Report: what an import brought, what it could not bring, and how the fire times compare, for a terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .comparison import Comparison, Verdict
from .page import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of one import. `is_clean` False: something was lost or differs without an explanation, and a human should look."""

    origin: str
    page: Page
    remarks: Sequence[str] = ()
    comparisons: Sequence[Comparison] = ()
    span_us: tuple[int, int] = (0, 0)

    @property
    def is_clean(self) -> bool:
        has_lost = any(draft.lost for draft in self.page.drafts)
        differs = any(each.verdict is Verdict.DIFFERENT for each in self.comparisons)
        return not (self.page.unmapped or has_lost or differs)

    def text(self) -> str:
        """For a terminal."""
        lines = [
            f"{self.origin}: {len(self.page.drafts)} schedules imported, {len(self.page.unmapped)} not",
            *self.remarks,
        ]
        lines += self._differences()
        if self.page.unmapped:
            lines += ["", "not imported:"]
            lines += [f"  {each.name}: {each.reason}" for each in self.page.unmapped]
        if self.comparisons:
            first, last = (
                datetime.fromtimestamp(each // 1_000_000, UTC).strftime("%Y-%m-%d %H:%MZ")
                for each in self.span_us
            )
            counts = Counter(each.verdict.value for each in self.comparisons)
            lines += [
                "",
                f"fire times from {first} to {last}: "
                + ", ".join(f"{number} {word}" for word, number in counts.items()),
            ]
            lines += [f"  {each.line()}" for each in self.comparisons]
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "origin": self.origin,
            "remarks": list(self.remarks),
            "schedules": [
                {"name": draft.entry.name, "notes": list(draft.notes), "lost": list(draft.lost)}
                for draft in self.page.drafts
            ],
            "not_imported": [
                {"name": each.name, "reason": each.reason, "text": each.text} for each in self.page.unmapped
            ],
            "comparisons": [
                {
                    "name": each.name,
                    "verdict": each.verdict.value,
                    "theirs": each.theirs,
                    "ours": each.ours,
                    "text": each.text,
                }
                for each in self.comparisons
            ],
        }

    def _differences(self) -> list[str]:
        """Each note once, with the schedules that it is about."""
        about: dict[str, list[str]] = {}
        for draft in self.page.drafts:
            for note in (*draft.notes, *(f"LOST: {each}" for each in draft.lost)):
                about.setdefault(note, []).append(draft.entry.name)
        lines = [f"  {note}: {_named(names)}" for note, names in about.items()]
        return ["", "differences:", *lines] if lines else []


def _named(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
