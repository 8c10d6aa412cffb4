"""Reload: the entries of the files and of the app on their way into the store, whenever they have changed, and in each new term.

Asked in each of the rounds (rounds.py). What cannot be read changes nothing. Thousands of entries go in slices, between which the
beat does what is due: one transaction for all of them would take seconds, and a lease with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from .dispatch import Fenced
from .entry import Entry, Owner
from .herald import Herald
from .ledger import Ledger
from .relay import Relay
from .store.base import Fence, Reconciled, Refusal

log = logging.getLogger(__name__)

AT_ONCE = 500
"""Entries in one slice, which takes some 20 ms."""


class Reload:
    """What shall be in the store, and whether it is. The sources are described in beat.py."""

    def __init__(
        self,
        ledger: Ledger,
        relay: Relay,
        herald: Herald,
        *,
        entries_source: Callable[[], Sequence[Entry] | None],
        app_entries: Sequence[Entry] | None,
        may_apply: Callable[[Fence], bool | Refusal],
    ) -> None:
        self._ledger = ledger
        self._relay = relay
        self._herald = herald
        self._entries_source = entries_source
        self._may_apply = may_apply
        self._app = _Side(Owner.APP)
        self._files = _Side(Owner.FILE)
        if app_entries is not None:
            self._app.want(app_entries)

    @property
    def is_open(self) -> bool:
        """Whether there is something to apply."""
        return self._app.is_open or self._files.is_open

    def begin(self) -> None:
        """A term begins: nobody knows what the one before it has applied."""
        self._app.begin()
        self._files.begin()

    def ask(self) -> None:
        """Ask for new entries of the files."""
        try:
            wanted = self._entries_source()
        except Exception:
            extra = {"action": "reload_failed"}
            log.exception("The entries could not be read; the old ones stay", extra=extra)
            return
        if wanted is not None:
            self._files.want(wanted)

    def apply(self, fence: Fence, now_us: int) -> bool:
        """Apply a slice of what is wanted and was not applied yet, as of now; False when there was nothing to do. Raises Fenced.

        The app's entries, then those of the files; the app's again where a name may have gone from a file to it. Later in a term
        only what has changed in the files: a look at a hundred thousand entries takes seconds.
        """
        if not self.is_open:
            return False
        room = AT_ONCE
        while room > 0 and self.is_open:
            side = self._app if self._app.is_open else self._files
            if side.is_new and not self._opens(side, fence):
                continue
            room -= self._some(side, room, fence, now_us)
            if not side.is_open:
                self._finished(side)
        return True

    def _opens(self, side: _Side, fence: Fence) -> bool:
        """Find out which entries of a side must be looked at; False for files that must not be applied."""
        if side is self._files:
            allowed = self._may_apply(fence)
            if isinstance(allowed, Refusal):
                raise Fenced
            if not allowed:
                side.refuse()
                self._tell_of_app()
                return False
        side.open(() if side.is_known else self._ledger.names(side.owner))
        return True

    def _some(self, side: _Side, room: int, fence: Fence, now_us: int) -> int:
        """Apply up to `room` entries of a side; returns how many."""
        names = list(islice(side.pending, room))
        if not names:
            return 0
        wanted = [side.wanted[name] for name in names if name in side.wanted]
        answer = self._ledger.reconcile(wanted, now_us, fence, side.owner, frozenset(names))
        if isinstance(answer, Refusal):
            raise Fenced
        self._relay.add(answer.firings, answer.held)
        self._herald.skipped(answer.skips)
        side.applied(names, answer)
        return len(names)

    def _finished(self, side: _Side) -> None:
        if side is self._app:
            if not self._files.is_open:
                self._tell_of_app()
            return
        self._herald.reloaded(side.done())
        if self._app.foreign:
            self._app.look_again()
        else:
            self._tell_of_app()

    def _tell_of_app(self) -> None:
        done = self._app.done()
        if done.changes or done.foreign:
            self._herald.reloaded(done)


class _Side:
    """One owner's part: what it wants, and what of it the store may not have yet."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.wanted: Mapping[str, Entry] = {}
        self.pending: dict[str, None] = {}  # in order
        self.foreign: set[str] = set()
        """What somebody else has, and may give up by the next time."""
        self.is_new = False
        """Whether something is wanted that was not looked at yet."""
        self.is_known = False
        """Whether the store has what was wanted before, but for what is pending."""
        self._is_asked = False
        self._former: tuple[Mapping[str, Entry], dict[str, None]] | None = None
        """What was wanted and pending before what is new: it counts again if that is refused."""
        self._answers: list[Reconciled] = []

    @property
    def is_open(self) -> bool:
        return self.is_new or bool(self.pending)

    def begin(self) -> None:
        self.is_new, self.is_known = self._is_asked, False
        self._former = None
        self.pending.clear()
        self.foreign.clear()
        self._answers.clear()

    def want(self, entries: Iterable[Entry]) -> None:
        before, self.wanted = self.wanted, {entry.name: entry for entry in entries}
        if self.is_known and not self.is_new:
            self._former = before, dict(self.pending)
        self._is_asked = self.is_new = True
        if self.is_known:
            self.pending |= dict.fromkeys((*_differing(before, self.wanted), *sorted(self.foreign)))

    def open(self, kept: Iterable[str]) -> None:
        """All that is wanted must be looked at, and all that the store has of this owner; or only what has changed."""
        if not self.is_known:
            self.pending = dict.fromkeys((*self.wanted, *sorted(kept)))
        self.is_new, self.is_known, self._former = False, True, None
        self.foreign.clear()

    def refuse(self) -> None:
        """Go on with what was wanted before, of which not all may be applied."""
        self.is_new, self.is_known = False, self._former is not None
        self.wanted, self.pending = self._former or (self.wanted, {})
        self._former = None

    def look_again(self) -> None:
        """At what was somebody else's."""
        self.pending |= dict.fromkeys(sorted(self.foreign))
        self.foreign.clear()

    def applied(self, names: Iterable[str], answer: Reconciled) -> None:
        for name in names:
            del self.pending[name]
        self.foreign |= set(answer.foreign)
        self._answers.append(answer)

    def done(self) -> Reconciled:
        """What has come of it since this was last asked."""
        answers, self._answers = self._answers, []
        return Reconciled(
            tuple(change for answer in answers for change in answer.changes),
            tuple(sorted(self.foreign)),
            firings=(),  # these and the skips were told of with their slice
            skips=(),
        )


def _differing(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[str]:
    """The names of the entries that are not the same objects."""
    return [
        *(name for name, entry in after.items() if before.get(name) is not entry),
        *(name for name in before if name not in after),
    ]
