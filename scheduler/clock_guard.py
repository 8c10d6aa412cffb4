"""ClockGuard: a Clock whose wall time does not follow every step of the machine's: nothing is sent early, nothing falls silent.

Theory of operation. Wall time is the boot-time clock, which nobody can set, plus an offset. Small changes of the offset are
taken over (a clock that is slewed). A step of more than 2 s is logged, counted and told, and then judged; until it is accepted
time goes on by boot-time, as if nothing had happened. The judge is a witness: the clock of the store's server.

    step          witness agrees with it     witness does not          there is none (SQLite)
    forward       accepted at once           not followed, said        accepted when it has lasted 30 s
    backward      accepted at once           each minute               accepted when it has lasted 30 s

A forward step that is accepted leaves gaps to the catch-up policy of the entries. A backward step of up to three hours is made
up for: our time runs at half speed until the wall clock has caught up, so that nothing is repeated and nothing is silent, and
meanwhile fire times lie ahead of the wall clock. After a longer one the clock had been badly wrong: our time jumps back, the
term ends, and the next one sets cursors back that lie in the future (`begin`). The ledger's key keeps what was sent from being
sent again.

Nothing is dated later than the witness + 2 s, but for what is made up for. Whoever is more than 5 s off the witness, or has no
witness and a clock that was never set, is not `fit` to lead. Suspension needs no judge: boot-time counts it; it is only logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from .clock import SECOND_US, Clock
from .store.base import StoreDown

log = logging.getLogger(__name__)

STEP_US = 2 * SECOND_US
SKEW_LIMIT_US = 5 * SECOND_US
MADE_UP_US = 3 * 3600 * SECOND_US
"""The longest backward step that is made up for at half speed: longer ones are no clock changes but corrections."""
EARLIEST_US = 1_672_531_200 * SECOND_US
"""2023-01-01: a machine whose clock is before it has not been told the time since it was started."""
PATIENCE_SECONDS = 30.0
ASK_SECONDS = 10.0
"""How often the witness is asked while all is well, ..."""
DOUBT_ASK_SECONDS = 2.0
"""... while a step is judged, ..."""
FIRST_ASK_SECONDS = 1.0
"""... and until it has answered once: nobody is fit before."""
GAP_SECONDS = 30.0
"""Between two looks: the loop looks once a second, so the machine was suspended or the process stopped."""
SAY_SECONDS = 60.0
SLOW_ANSWER_US = 2 * SECOND_US


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A step that is not accepted: to this offset, since this boot-time. `shown_us`: the offset before it, None if that was not fit."""

    offset_us: int
    since: float
    shown_us: int | None


@dataclass(frozen=True, slots=True)
class _Testimony:
    """What the witness said: its offset, known to within `margin_us`."""

    offset_us: int
    margin_us: int


class ClockGuard:
    """A Clock over a Clock. `look` once a pass, through `fit`; the rest may be called whenever.

    `witness` returns the store's time, None where that is this machine's clock, and may raise StoreDown. `stepped` is told each
    step in seconds.
    """

    def __init__(
        self,
        clock: Clock,
        witness: Callable[[], int | None] = lambda: None,
        stepped: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._witness = witness
        self._stepped = stepped
        self._offset_us = clock.now_us() - _us(clock.boottime())
        self._ahead_us, self._ahead_since = 0, 0.0
        self._doubt: _Doubt | None = None
        self._testimony: _Testimony | None = None
        self._asked: bool = False
        self._alone = False  # the last answer of the witness was: there is none
        self._ends_term = False
        self._looked_at = clock.boottime()
        self._ask_at = self._looked_at
        self._said_at: float | None = None
        self.steps = 0
        """Steps of the wall clock that were seen."""

    # --- the clock -----------------------------------------------------------------------------------------------------------

    def now_us(self) -> int:
        boot = self._clock.boottime()
        now = self._base_us(boot)
        ahead = self._ahead_now_us(boot)
        if ahead:
            return now + ahead
        if self._testimony is not None:
            now = min(now, _us(boot) + self._testimony.offset_us + STEP_US)
        return now

    def boottime(self) -> float:
        return self._clock.boottime()

    def wait(self, seconds: float) -> bool:
        return self._clock.wait(seconds)

    def wake(self) -> None:
        self._clock.wake()

    # --- the guard -----------------------------------------------------------------------------------------------------------

    def fit(self) -> bool:
        """Look, and say whether this machine's clock is good enough to lead now."""
        self.look()
        boot = self._clock.boottime()
        if self._ends_term:
            self._ends_term = False
            return False
        if self._testimony is not None:
            return self._is_close(boot, self._testimony)
        if not self._alone:
            return False  # the store has not answered yet
        if self._base_us(boot) < EARLIEST_US:
            self._say(boot, "The clock of this machine was not set since it was started: it may not lead")
            return False
        return True

    def look(self) -> None:
        """Compare the wall clock with boot-time, and with the witness when that is due."""
        boot = self._clock.boottime()
        gap = boot - self._looked_at
        self._looked_at = boot
        if gap > GAP_SECONDS:
            log.warning(
                "No look at the clock for %.0f s: the machine was suspended, or this process stopped",
                gap,
                extra={"action": "clock_gap"},
            )
            self._ask_at = boot
        offset = self._clock.now_us() - _us(boot)
        if abs(offset - self._offset_us) > STEP_US:
            self._judge(offset, boot)
            return
        self._offset_us = offset
        if self._doubt is not None:
            self._doubt = None
            log.warning("The wall clock is right again", extra={"action": "clock_right"})
        if boot >= self._ask_at:
            self._ask(boot, ASK_SECONDS)

    def begin(self, latest_us: int) -> bool:
        """A term begins, and the latest cursor of the store is this: whether cursors must be set back to now.

        Up to three hours ahead: an earlier leader was making up for a step, and so does this one.
        """
        boot = self._clock.boottime()
        ahead = latest_us - self._base_us(boot)
        if ahead > MADE_UP_US:
            log.error(
                "Entries are decided up to %.1f h after now: some clock was wrong; they begin again now",
                ahead / 3600 / SECOND_US,
                extra={"action": "cursors_rewound"},
            )
            return True
        if ahead > max(STEP_US, self._ahead_now_us(boot)):
            self._ahead_us, self._ahead_since = ahead, boot
            self._say_half_speed(ahead)
        return False

    # --- judging -------------------------------------------------------------------------------------------------------------

    def _judge(self, offset: int, boot: float) -> None:
        """A step stands in the room."""
        if self._doubt is None or abs(offset - self._doubt.offset_us) > STEP_US:
            before = self._offset_us if self._doubt is None else self._doubt.offset_us
            shown_us = self._shown_us() if self._doubt is None else self._doubt.shown_us
            self._note_step((offset - before) / SECOND_US)
            self._doubt = _Doubt(offset, boot, shown_us)
            self._ask_at = boot
            self._said_at = None
        if boot >= self._ask_at:
            self._ask(boot, DOUBT_ASK_SECONDS)
        if self._testimony is None:
            if self._alone and boot - self._doubt.since >= PATIENCE_SECONDS:
                self._accept(offset, boot, self._doubt.shown_us)
            return
        margin = SKEW_LIMIT_US + self._testimony.margin_us
        if abs(offset - self._testimony.offset_us) <= margin:
            if self._asked:
                self._accept(offset, boot, self._doubt.shown_us)
            return
        wrong_by = (offset - self._testimony.offset_us) / SECOND_US
        self._say(
            boot,
            f"The wall clock is {wrong_by:+.1f} s off the store's and is not followed. Set it right, and keep it so (NTP)",
        )

    def _note_step(self, seconds: float) -> None:
        self.steps += 1
        log.warning(
            "The wall clock stepped by %+.1f s: it is not followed until that is proved right",
            seconds,
            extra={"action": "clock_stepped"},
        )
        self._stepped(seconds)

    def _accept(self, offset: int, boot: float, shown_us: int | None) -> None:
        # who was not fit has decided nothing by the old time: there is nothing to make up for
        ahead = 0 if shown_us is None else self._ahead_now_us(boot) + shown_us - offset
        log.warning(
            "The wall clock's step is accepted: %+.1f s",
            (offset - self._offset_us) / SECOND_US,
            extra={"action": "clock_accepted"},
        )
        self._offset_us, self._doubt = offset, None
        self._ahead_us, self._ahead_since = max(0, ahead), boot
        if ahead > MADE_UP_US:
            self._ahead_us, self._ends_term = 0, True
        elif ahead > 0:
            self._say_half_speed(ahead)

    def _ask(self, boot: float, again_in: float) -> None:
        """Ask the witness. Without an answer the last one stands: it was about boot-time, which goes on."""
        self._ask_at = boot + again_in
        try:
            self._asked = self._hear(boot)
        except StoreDown:
            self._asked = False
        if not self._asked and self._testimony is None and not self._alone:
            self._ask_at = boot + FIRST_ASK_SECONDS

    def _hear(self, boot: float) -> bool:
        """Take the witness's answer; False for none that is worth anything. Raises StoreDown."""
        answer = self._witness()
        if answer is None:
            self._alone, self._testimony = True, None
            return False
        after = self._clock.boottime()
        if _us(after - boot) > SLOW_ANSWER_US:
            return False
        self._testimony = _Testimony(answer - (_us(boot) + _us(after)) // 2, _us(after - boot) // 2)
        return True

    def _is_close(self, boot: float, testimony: _Testimony) -> bool:
        skew = self._base_us(boot) - _us(boot) - testimony.offset_us
        if abs(skew) <= SKEW_LIMIT_US + testimony.margin_us:
            return True
        self._say(
            boot,
            f"This machine's clock is {skew / SECOND_US:+.1f} s off the store's: it may not lead"
            f" (limit {SKEW_LIMIT_US // SECOND_US} s). Set both by NTP",
        )
        return False

    def _shown_us(self) -> int | None:
        """The offset that is shown, None while it is not good enough to lead; by what the witness said last."""
        testimony = self._testimony
        if testimony is None:
            return self._offset_us if self._alone else None
        if abs(self._offset_us - testimony.offset_us) > SKEW_LIMIT_US + testimony.margin_us:
            return None
        return min(self._offset_us, testimony.offset_us + STEP_US)

    def _base_us(self, boot: float) -> int:
        """Wall time as it is followed, without what is made up for."""
        wall = self._clock.now_us()
        followed = _us(boot) + self._offset_us
        return wall if abs(wall - followed) <= STEP_US else followed

    def _ahead_now_us(self, boot: float) -> int:
        if not self._ahead_us:
            return 0
        left = self._ahead_us - _us(boot - self._ahead_since) // 2
        if left <= 0:
            self._ahead_us = 0
        return max(0, left)

    def _say(self, boot: float, text: str) -> None:
        """An error that lasts is said once a minute."""
        if self._said_at is None or boot - self._said_at >= SAY_SECONDS:
            self._said_at = boot
            log.error("%s", text, extra={"action": "clock_wrong"})

    @staticmethod
    def _say_half_speed(ahead_us: int) -> None:
        log.warning(
            "Decided up to %.0f s after now: time runs at half speed for %.0f s",
            ahead_us / SECOND_US,
            2 * ahead_us / SECOND_US,
            extra={"action": "clock_half_speed"},
        )


def _us(seconds: float) -> int:
    return round(seconds * SECOND_US)
