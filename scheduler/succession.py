"""Succession: of several beats the one with the newest schedules files leads, and older files never undo newer ones (B13).

It stands between the source of the files' entries and the beat. While the beat leads it says whether the files may be
applied, and hands the lead over when a standby has newer ones. While it stands by it looks at its files too, and asks for the
lead when they are newer than what was applied. Files with the same content are never older, whatever their times say.

Who hands over does not stand for election for a few seconds, and does so once for each wish: an asker that is gone by then
delays nothing for longer. The wish is forgotten then, so that it is in nobody's way whose files are less new.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from .clock import Clock
from .entry import Entry
from .store.base import Fence, Fenced, StoreDown
from .store.serials import Serials

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
HAND_OVER_SECONDS = 3.0
"""A standby looks at the leader's hint some times a second, and at the lease once a second."""


class Files(Protocol):
    """The source of entries; see source.py."""

    @property
    def serial(self) -> int: ...

    @property
    def digest(self) -> str: ...

    def __call__(self) -> Sequence[Entry] | None: ...


class Succession:
    """One beat's part in it. All of it belongs to the beat's thread. `leads` says whether that beat led when it last looked."""

    def __init__(
        self,
        files: Files,
        serials: Serials,
        clock: Clock,
        me: str,
        *,
        leads: Callable[[], bool],
        refused: Callable[[Sequence[str]], object] = lambda _: None,
    ) -> None:
        self._files = files
        self._serials = serials
        self._clock = clock
        self._me = me
        self._leads = leads
        self._refused = refused
        self._fresh: Sequence[Entry] | None = None
        self._look_at = clock.boottime()
        self._stands_from = self._look_at
        self._yielded_to = 0

    def __call__(self) -> Sequence[Entry] | None:
        """The entries of the files, if they are new: what the beat asks while it leads. Once a second it looks who else wants to lead."""
        seen = self._files()
        fresh, self._fresh = seen if seen is not None else self._fresh, None
        now = self._clock.boottime()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            with suppress(StoreDown):  # the elector meets it too, and says so
                self._consider(now)
        return fresh

    def may_apply(self, fence: Fence) -> bool | Fenced:
        """Whether the files that were given last may be applied. Raises StoreDown."""
        answer = self._serials.apply(self._files.serial, self._files.digest, fence)
        if answer is False:
            text = (
                f"the schedules files of this beat (serial {self._files.serial}) are older than those that were applied"
                f" (serial {self._serials.read().number}): they are not applied. Bring the files of this host up to date, or"
                " give them a larger `serial:`"
            )
            log.error("%s", text, extra={"action": "reload_refused"})
            self._refused([text])
        return answer

    def is_willing(self) -> bool:
        """Whether this beat wants to lead now. Asks the store once a second, and while it leads only when the beat asks for entries.

        Raises nothing.
        """
        now = self._clock.boottime()
        if now < self._stands_from:
            return False
        if not self._leads() and now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            with suppress(StoreDown):
                self._ask()
        return True

    def _consider(self, now: float) -> None:
        """Whether somebody asked for the lead who should have it."""
        wish = self._serials.read()
        if wish.asker in {"", self._me} or wish.asked <= self._files.serial:
            return
        self._serials.withdraw(wish.asked, wish.asker)  # who is alive says it again, until it leads
        if wish.asked <= self._yielded_to:
            return
        self._yielded_to = wish.asked
        self._stands_from = now + HAND_OVER_SECONDS
        log.warning(
            "Handing over to %s, whose schedules files are newer (serial %d, ours %d)",
            wish.asker,
            wish.asked,
            self._files.serial,
            extra={"action": "handed_over"},
        )

    def _ask(self) -> None:
        try:
            seen = self._files()
        except Exception:
            extra = {"action": "reload_failed"}
            log.exception("The entries could not be read; those that were read before count", extra=extra)
            return
        self._fresh = seen if seen is not None else self._fresh
        known = self._serials.read()
        number = self._files.serial
        if number > max(known.number, known.asked) and self._files.digest != known.digest:
            log.info("Our schedules files are newer than those in use: asking for the lead")
            self._serials.ask(number, self._me)
