"""Reload: the entries of the files and of the app on their way into the store, whenever they have changed, and in each new term.

Asked in each of the rounds (rounds.py). What cannot be read changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from .clock import Clock
from .dispatch import Fenced
from .entry import Entry, Owner
from .herald import Herald
from .ledger import Ledger
from .relay import Relay
from .store.base import Fence, Reconciled, Refusal

log = logging.getLogger(__name__)


class Reload:
    """What shall be in the store, and whether it is. The sources are described in beat.py."""

    def __init__(
        self,
        ledger: Ledger,
        relay: Relay,
        herald: Herald,
        clock: Clock,
        *,
        entries_source: Callable[[], Sequence[Entry] | None],
        app_entries: Sequence[Entry] | None,
        may_apply: Callable[[Fence], bool | Refusal],
    ) -> None:
        self._ledger = ledger
        self._relay = relay
        self._herald = herald
        self._clock = clock
        self._entries_source = entries_source
        self._of_app = app_entries
        self._of_files: Sequence[Entry] | None = None
        self._may_apply = may_apply
        self._among: set[str] | None = (
            None  # the names that may have changed since they were applied; None: all
        )
        self.applied = False
        """Whether the store has been told what is wanted, in this term."""

    def begin(self) -> None:
        """A term begins: nobody knows what the one before it has applied."""
        self.applied, self._among = False, None

    def ask(self) -> None:
        """Ask for new entries of the files."""
        try:
            wanted = self._entries_source()
        except Exception:
            extra = {"action": "reload_failed"}
            log.exception("The entries could not be read; the old ones stay", extra=extra)
            return
        if wanted is None:
            return
        if self._of_files is None:
            self._among = None
        elif self._among is not None:
            self._among |= _differing(self._of_files, wanted)
        self._of_files, self.applied = wanted, False

    def apply(self, fence: Fence) -> bool:
        """Apply what is wanted if it was not yet; False when there was nothing to do. Raises Fenced.

        The app's entries, then those of the files; the app's again where a name may have gone from a file to it. Later in a term
        only what has changed in the files, as a look at a hundred thousand entries takes seconds.
        """
        if self.applied or (self._of_files is None and self._of_app is None):
            self.applied = True
            return False
        among = self._among
        of_app = self._reconcile(self._of_app, Owner.APP, fence) if among is None else None
        allowed = self._of_files is None or self._may_apply(fence)
        if isinstance(allowed, Refusal):
            raise Fenced
        of_files = self._reconcile(self._of_files if allowed else None, Owner.FILE, fence, among)
        if of_app is not None and of_app.foreign:
            of_app = self._reconcile(self._of_app, Owner.APP, fence)
        if of_app is not None and (of_app.changes or of_app.foreign):
            self._herald.reloaded(of_app)
        if of_files is not None:
            self._herald.reloaded(of_files)
        # what is somebody else's may be given up by then
        self._among = set(of_files.foreign) if of_files is not None else None
        self.applied = True
        return True

    def _reconcile(
        self, wanted: Sequence[Entry] | None, owner: Owner, fence: Fence, among: Collection[str] | None = None
    ) -> Reconciled | None:
        if wanted is None:
            return None
        answer = self._ledger.reconcile(wanted, self._clock.now_us(), fence, owner, among)
        if isinstance(answer, Refusal):
            raise Fenced
        self._relay.add(answer.firings)
        return answer


def _differing(before: Sequence[Entry], after: Sequence[Entry]) -> set[str]:
    """The names of the entries that are not the same objects."""
    known = {entry.name: entry for entry in before}
    names = {entry.name for entry in after if known.pop(entry.name, None) is not entry}
    return names | known.keys()
