"""Account: how many firings of each batch are open, and what of it is confirmed and not yet marked in the store.

PURE. A batch is marked as a whole when none of its firings is open; until then its confirmed ones can be marked one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from .firing import Firing, FiringKey
from .notice import Notice, late_notices, sent_notices
from .store.base import Marks

PARTS_SECONDS = 1.0
MARK_AT_ONCE = 1_000
"""While there is work, so long and so many confirmed firings wait to be marked, so that there are few transactions."""


class Account:
    """Batches of which all open firings are known."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        self._confirmed: dict[int, list[Firing]] = {}
        self._notices: dict[FiringKey, tuple[Notice, ...]] = {}
        self._awaited: dict[FiringKey, Firing] = {}  # open ones of which somebody hears when they are late

    @property
    def batches(self) -> Collection[int]:
        """The batches that are known."""
        return self._open.keys()

    @property
    def unmarked(self) -> int:
        """How many confirmed firings are not marked yet."""
        return sum(len(known) for known in self._confirmed.values())

    def clear(self) -> None:
        """Forget everything."""
        self._open.clear()
        self._confirmed.clear()
        self._notices.clear()
        self._awaited.clear()

    def open(self, firings: Sequence[Firing]) -> None:
        """These are open."""
        for batch_id, number in Counter([firing.batch_id for firing in firings]).items():
            self._open[batch_id] = self._open.get(batch_id, 0) + number
        for firing in firings:
            if firing.terms.tells is not None and "late" in firing.terms.tells.webhook_on:
                self._awaited[firing.ledger_key] = firing

    def confirm(self, firings: Sequence[Firing], now_us: int) -> None:
        """The broker has these, as it said just now."""
        for firing in firings:
            if firing.terms.tells is not None:
                self._notices[firing.ledger_key] = sent_notices(firing, now_us)
                self._awaited.pop(firing.ledger_key, None)
            self._confirmed.setdefault(firing.batch_id, []).append(firing)
            self._open[firing.batch_id] -= 1

    def finish(self, firing: Firing) -> None:
        """This one is in a state of its own that is an end; a batch of which nothing else is left is to be marked."""
        self._open[firing.batch_id] -= 1
        self._confirmed.setdefault(firing.batch_id, [])
        if self._awaited:
            self._awaited.pop(firing.ledger_key, None)

    def marks(self, now_us: int, *, parts: bool) -> Marks:
        """What is to be marked: whole batches, and with `parts` the confirmed firings of the others.

        Those that were recorded as sending have a state of their own, and are marked one by one in any case. What has become late and is still open is
        told once: if that is not recorded everything is taken up anew.
        """
        whole: list[int] = []
        single: list[FiringKey] = []
        for batch_id, known in self._confirmed.items():
            if self._open[batch_id] == 0:
                whole.append(batch_id)
                single += [firing.ledger_key for firing in known if firing.terms.once]
            elif parts:
                single += [firing.ledger_key for firing in known]
        told = self._told(whole, single) if self._notices else ()
        return Marks(
            tuple(whole), tuple(single), now_us, told + self._overdue(now_us) if self._awaited else told
        )

    def marked(self, marks: Marks) -> None:
        """The store has these marks."""
        for batch_id in marks.batches:
            for firing in self._confirmed.pop(batch_id, ()) if self._notices else ():
                self._notices.pop(firing.ledger_key, None)
            self._confirmed.pop(batch_id, None)
            self._open.pop(batch_id, None)
        done = set(marks.firings)
        for key in done if self._notices else ():
            self._notices.pop(key, None)
        if done:
            left = {b: [f for f in known if f.ledger_key not in done] for b, known in self._confirmed.items()}
            self._confirmed = {batch_id: known for batch_id, known in left.items() if known}

    def _told(self, batches: Sequence[int], single: Sequence[FiringKey]) -> tuple[Notice, ...]:
        """What these marks make known."""
        keys = [firing.ledger_key for batch_id in batches for firing in self._confirmed[batch_id]]
        return tuple(
            notice for key in dict.fromkeys([*keys, *single]) for notice in self._notices.get(key, ())
        )

    def _overdue(self, now_us: int) -> tuple[Notice, ...]:
        """Of open firings that have become late since it was last asked."""
        found: list[Notice] = []
        for key, firing in list(self._awaited.items()):
            if notices := late_notices(firing, now_us, is_sent=False):
                found += notices
                del self._awaited[key]
        return tuple(found)
