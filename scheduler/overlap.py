"""Overlap: what becomes of fire times while the run before them is not over (decisions B5).

PURE. The ledger finds out which runs are over, asks `rule` once for each entry whose overlap is not `allow`, and records the
answer. Each firing of a batch is in the way of the next one: what is sent, or held, is the newest run from then on.

            the run before it is over      it is not
    skip    decided                        a skip record that names that run
    queue   decided                        held; of several only the newest, the others are skipped (superseded)
    cancel  decided                        decided, and that run is revoked before it is sent
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .entry import Entry, Overlap
from .firing import Firing
from .skip import Skip, SkipReason


@dataclass(frozen=True, slots=True)
class Run:
    """The newest run of an entry, and since when it is: that bounds how long it can be in the way."""

    task_id: str
    since_us: int

    def outlasts(self, entry: Entry, now_us: int) -> bool:
        """Whether it counts as over though nobody said so: its end was lost, or it takes too long."""
        return now_us - self.since_us >= entry.overlap_timeout_us


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of the fire times of one entry; `latest_id` is its newest run if there is a new one, else ""."""

    decided: tuple[Firing, ...]
    held: tuple[Firing, ...]
    skips: tuple[Skip, ...]
    latest_id: str


def rule(overlap: Overlap, firings: Sequence[Firing], blocker_id: str) -> Ruling:
    """Decide about `firings` of one entry, oldest first; `blocker_id` is what is in their way, "" for nothing."""
    decided: list[Firing] = []
    held: list[Firing] = []
    skips: list[Skip] = []
    for firing in firings:
        if not blocker_id:
            decided.append(firing)
        elif overlap is Overlap.SKIP:
            skips.append(_skip(firing, SkipReason.OVERLAP, blocker_id))
            continue
        elif overlap is Overlap.CANCEL:
            decided.append(firing._replace(cancels=blocker_id))
        else:
            skips += [_skip(older, SkipReason.SUPERSEDED, firing.task_id) for older in held]
            held = [firing]
        blocker_id = firing.task_id
    return Ruling(tuple(decided), tuple(held), tuple(skips), decided[-1].task_id if decided else "")


def _skip(firing: Firing, reason: SkipReason, detail: str) -> Skip:
    return Skip(firing.entry, firing.due_us, firing.due_us, 1, reason, detail)
