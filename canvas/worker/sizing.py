"""Sizing: how many tasks a worker runs side by side, as it is told while it runs, or as it finds out itself (autoscale.py).

Any thread may ask; the pool belongs to the worker's loop, which does at its next pass what was asked. A size that the pool cannot have is refused
to who asks.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from ..errors import ImproperlyConfigured
from ..pools.base import Pool
from .autoscale import Autoscale

logger = logging.getLogger("backbeat.worker")


class Sizing:
    """Of one worker's `pool`, of which `most` tasks may run side by side. `wake` lets the worker's loop go round.

    Raises ImproperlyConfigured for bounds that the pool cannot have.
    """

    def __init__(
        self, pool: Pool, most: int, wake: Callable[[], None], autoscale: tuple[int, int] | None = None
    ) -> None:
        self._pool = pool
        self._most = most
        self._wake = wake
        self._orders: deque[Callable[[], None]] = deque()
        self._asked = pool.size
        """What it will be when all orders are carried out."""
        self._scale: Autoscale | None = None
        if autoscale is not None:
            self._scale = self._bounded(*autoscale)

    # --- for any thread ------------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many tasks run side by side, or will in a moment."""
        return self._asked

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The most and the least between which it finds its size itself; None if it does not."""
        return None if self._scale is None else (self._scale.most, self._scale.least)

    def grow(self, count: int = 1) -> None:
        """Run so many more tasks side by side. Raises ImproperlyConfigured if the pool cannot."""
        self._resize(self._asked + _counted(count))

    def shrink(self, count: int = 1) -> None:
        """Run so many less: what runs ends first. Raises ImproperlyConfigured if none would be left."""
        self._resize(self._asked - _counted(count))

    def restart(self) -> None:
        """Have each process replaced by one that has imported the app anew: what runs ends first. Raises ImproperlyConfigured if there is none."""
        self._check_resizable()
        self._order(self._pool.restart)

    def autoscale(self, most: int, least: int) -> None:
        """Find the size itself from now on, between these two. Raises ImproperlyConfigured for what cannot be."""
        scale = self._bounded(most, least)

        def begin() -> None:
            self._scale = scale

        self._order(begin)

    # --- for the worker's loop -----------------------------------------------------------------------------------------------

    @property
    def limit(self) -> int:
        """How many tasks it may come to run side by side without being asked."""
        return self._asked if self._scale is None else max(self._asked, self._scale.most)

    @property
    def headroom(self) -> int:
        """How much it can grow by itself."""
        return 0 if self._scale is None else max(0, self._scale.most - self._pool.size)

    def turn(self, count_busy: Callable[[], int], waiting: int) -> bool:
        """Do what was asked for, and what must be, as so many tasks run, and so many are there that cannot start. Whether anything was asked for."""
        is_asked = bool(self._orders)
        while self._orders:
            self._orders.popleft()()
        if self._scale is not None:
            self._rescale(self._scale, count_busy, waiting)
        return is_asked

    def _rescale(self, scale: Autoscale, count_busy: Callable[[], int], waiting: int) -> None:
        size, busy = self._pool.size, count_busy()
        wanted = scale.size(time.monotonic(), size, busy, waiting)
        if wanted != size:
            extra = {"action": "autoscaled", "size": wanted}
            logger.info(
                "the pool is resized from %s to %s: %s run, %s wait", size, wanted, busy, waiting, extra=extra
            )
            self._pool.resize(wanted)
            self._asked = wanted

    def _resize(self, size: int) -> None:
        self._check(size)
        self._asked = size
        self._order(lambda: self._pool.resize(size))

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        self._wake()

    def _bounded(self, most: int, least: int) -> Autoscale:
        try:
            scale = Autoscale(_counted(most), _counted(least))
        except ValueError as error:
            raise ImproperlyConfigured(str(error)) from None
        self._check(most)
        return scale

    def _check(self, size: int) -> None:
        self._check_resizable()
        if not 1 <= size <= self._most:
            raise ImproperlyConfigured(
                f"the pool cannot run {size:,} tasks side by side: 1 to {self._most:,} can be, and now {self._asked:,} are"
            )

    def _check_resizable(self) -> None:
        if self._most == 1:
            raise ImproperlyConfigured(
                "pool solo runs one task in the worker itself: it cannot be resized or restarted. Use another pool (-P)"
            )


def _counted(count: int) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ImproperlyConfigured(
            f"a number of tasks must be a whole number of at least 1, found {count!r:.100}"
        )
    return count
