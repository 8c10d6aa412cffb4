"""Blockers: the ledger's memory of what is in whose way, for entries whose overlap is not `allow`.

It knows the newest run of each such entry and the firings that are held, asks `Runs` which runs are over, and lets overlap.py
decide. It is not the truth: rows and columns of the store are, and it is filled from them at the start of a term and after a doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from .entry import Entry, Overlap
from .firing import Firing, FiringState
from .overlap import Ruling, Run, rule
from .runs import Runs
from .skip import SkipReason
from .store.base import Change


class Blockers:
    """Newest runs and held firings by the names of their entries."""

    def __init__(self, runs: Runs | None) -> None:
        self._runs = runs
        self._latest: dict[str, Run] = {}
        self._held: dict[str, list[Firing]] = {}
        self._unsent: dict[
            str, str
        ] = {}  # newest runs that the broker has not got yet: they cannot last too long

    @property
    def knows_runs(self) -> bool:
        """Whether anybody can say that a run is over; without that only `allow` makes sense."""
        return self._runs is not None

    def holds(self, name: str) -> bool:
        """Whether a firing of this entry is held."""
        return name in self._held

    def learn(self, entry: Entry, latest_id: str, latest_us: int) -> None:
        """What the store says about the newest run of an entry."""
        if entry.overlap is not Overlap.ALLOW and latest_id:
            self._latest[entry.name] = Run(latest_id, latest_us)

    def clear(self) -> None:
        """Another beat may have led: what is known here is old."""
        self._latest.clear()
        self._held.clear()
        self._unsent.clear()

    def was_held(self) -> Collection[str]:
        """The task ids of what is held."""
        return {firing.task_id for known in self._held.values() for firing in known}

    def restart(self, held: Sequence[Firing]) -> None:
        """These are held, and no others."""
        self._held.clear()
        self._unsent.clear()
        self.add_held(held)

    def add_held(self, held: Sequence[Firing]) -> None:
        """These are held, too."""
        for firing in held:
            known = self._held.setdefault(firing.entry, [])
            if all(each.task_id != firing.task_id for each in known):
                known.append(firing)

    def sent(self, firing: Firing, now_us: int) -> None:
        """This was decided by somebody, or by us in a transaction whose answer was lost: it may be the newest run."""
        known = self._latest.get(firing.entry)
        if known is None or known.task_id < firing.task_id:  # ids begin with their fire time
            known = self._latest[firing.entry] = Run(firing.task_id, now_us)
        if known.task_id == firing.task_id:
            self._unsent[firing.entry] = firing.task_id

    def left(self, firings: Iterable[Firing], now_us: int) -> None:
        """The broker has these, or may have them: from now on it counts how long they take."""
        for firing in firings if self._unsent else ():
            if self._unsent.get(firing.entry) == firing.task_id:
                del self._unsent[firing.entry]
                self._latest[firing.entry] = Run(firing.task_id, now_us)

    def rule(self, wanted: Mapping[str, tuple[Entry, list[Firing]]], now_us: int) -> dict[str, Ruling]:
        """What becomes of fire times, oldest first for each entry. Changes nothing but what it knows to be over."""
        self._forget_over((entry for entry, _ in wanted.values()), now_us)
        rulings = {}
        for name, (entry, firings) in wanted.items():
            held, latest = self._held.get(name), self._latest.get(name)
            blocker_id = held[-1].task_id if held else latest.task_id if latest else ""
            rulings[name] = rule(entry.overlap, firings, blocker_id)
        return rulings

    def review(self, entry_of: Callable[[str], Entry | None], now_us: int) -> list[Change]:
        """What becomes of the held firings now: superseded, expired, or sent, as the run before them is over.

        An edit holds what is owed whatever the overlap of its entry is: it is decided here as it would have been by `rule`.
        """
        entries = {name: entry_of(name) for name in self._held}
        self._forget_over((entry for entry in entries.values() if entry is not None), now_us)
        changes = []
        for name, firings in self._held.items():
            *older, newest = sorted(firings, key=lambda firing: firing.ledger_key)
            changes += [_skipped(firing, SkipReason.SUPERSEDED) for firing in older]
            expires_us = newest.terms.expires_us
            if expires_us is not None and now_us >= newest.due_us + expires_us:
                changes.append(_skipped(newest, SkipReason.EXPIRED))
            else:
                changes += self._reviewed(newest, entries[name])
        return changes

    def _reviewed(self, firing: Firing, entry: Entry | None) -> list[Change]:
        blocker = self._latest.get(firing.entry)
        if blocker is None or entry is None or entry.overlap is Overlap.ALLOW:
            return [Change(firing, FiringState.HELD, FiringState.DECIDED)]
        match entry.overlap:
            case Overlap.SKIP:
                return [_skipped(firing, SkipReason.OVERLAP)]
            case Overlap.CANCEL:
                cancelling = firing._replace(cancels=blocker.task_id)
                return [Change(cancelling, FiringState.HELD, FiringState.DECIDED)]
            case _:
                return []

    def settled(self, wanted: Sequence[Change], done: Sequence[Change], now_us: int) -> None:
        """`wanted` was asked for and `done` was done: none of them is held any more."""
        for change in wanted:
            name = change.firing.entry
            key = change.firing.ledger_key
            left = [firing for firing in self._held.get(name, ()) if firing.ledger_key != key]
            if left:
                self._held[name] = left
            else:
                self._held.pop(name, None)
        for change in done:
            if change.after is FiringState.DECIDED:
                self._latest.pop(change.firing.entry, None)
                self.sent(change.firing, now_us)

    def gone(self, firings: Iterable[Firing]) -> None:
        """These were skipped or failed after they had been decided: they are in nobody's way."""
        for firing in firings:
            latest = self._latest.get(firing.entry)
            if latest is not None and latest.task_id == firing.task_id:
                del self._latest[firing.entry]
                self._unsent.pop(firing.entry, None)

    def _forget_over(self, entries: Iterable[Entry], now_us: int) -> None:
        asked: dict[str, str] = {}
        for entry in entries:
            run = self._latest.get(entry.name)
            is_out = run is not None and self._unsent.get(entry.name) != run.task_id
            if run is not None and is_out and run.outlasts(entry, now_us):
                del self._latest[entry.name]
            elif run is not None:
                asked[run.task_id] = entry.name
        if asked and self._runs is not None:
            for task_id in self._runs.over(list(asked)):
                del self._latest[asked[task_id]]
                self._unsent.pop(asked[task_id], None)


def _skipped(firing: Firing, reason: SkipReason) -> Change:
    return Change(firing, FiringState.HELD, FiringState.SKIPPED, reason.value)
