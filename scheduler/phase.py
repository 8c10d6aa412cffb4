"""Phase: how long an entry stays what it is, where overrides of it end by themselves; for whoever looks ahead. PURE."""

from __future__ import annotations

from dataclasses import dataclass

from .edit import KeptEntry
from .entry import Entry
from .order import overdue
from .override import first_end_us


@dataclass(frozen=True, slots=True)
class Phase:
    """An entry whose fire times from `from_us` on, and before `until_us`, are those of its name; None: for ever."""

    entry: Entry
    from_us: int | None = None
    until_us: int | None = None

    def next_after(self, after_us: int) -> int | None:
        """Its first fire time later than that and in the phase; None when there is none."""
        if not self.entry.enabled:
            return None
        if self.from_us is not None:
            after_us = max(after_us, self.from_us - 1)
        fire_us = self.entry.next_after(after_us)
        return fire_us if fire_us is not None and self.lasts_until(fire_us) else None

    def lasts_until(self, fire_us: int) -> bool:
        """Whether a fire time of the entry is still one of the phase."""
        return self.until_us is None or fire_us < self.until_us


def phases_of(kept: KeptEntry) -> list[Phase]:
    """What an entry of the store is, one after the other, if nobody edits it. Raises what `KeptEntry.entry` raises."""
    phases: list[Phase] = []
    from_us = None
    while (end_us := first_end_us(kept.overrides)) is not None and (
        ended := overdue(kept, end_us)
    ) is not None:
        phases.append(Phase(kept.entry(), from_us, end_us))
        kept, from_us = ended
    return [*phases, Phase(kept.entry(), from_us)]
