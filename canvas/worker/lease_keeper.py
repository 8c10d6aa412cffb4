"""LeaseKeeper: renews what a worker holds while its own thread runs a task (pool solo) and cannot."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence

from ..commit.base import Commit
from ..commit.taken import Taken
from ..errors import Unavailable

logger = logging.getLogger("backbeat.worker")

JOIN_SECONDS = 5.0
"""How long a renewal that is under way is waited for when its task has ended; one that comes later finds nothing to renew."""


class LeaseKeeper:
    """`open_commit` opens a Commit under the worker's own name, as that is who holds; it is opened only for a task that runs for long."""

    def __init__(self, open_commit: Callable[[], Commit], lease_seconds: float) -> None:
        self._open_commit = open_commit
        self._pause = lease_seconds / 3

    @contextlib.contextmanager
    def holding(self, held: Sequence[Taken]) -> Iterator[None]:
        """Renews `held` every third of a lease as long as the block runs."""
        over = threading.Event()
        thread = threading.Thread(
            target=self._renew, args=[held, over], name="backbeat-lease-keeper", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(JOIN_SECONDS)

    def _renew(self, held: Sequence[Taken], over: threading.Event) -> None:
        if over.wait(self._pause):
            return
        with contextlib.ExitStack() as opened:
            commit: Commit | None = None
            while True:
                try:
                    if commit is None:
                        commit = self._open_commit()
                        opened.callback(commit.close)
                    commit.renew(held)
                except Unavailable as error:
                    extra = {"action": "unavailable", "pause": self._pause}
                    logger.warning("%s; renewing again in %.1f s", error, self._pause, extra=extra)
                except Exception:
                    # whatever it is, the task goes on, and the next renewal may succeed
                    logger.exception("what is held cannot be renewed", extra={"action": "renew_failed"})
                if over.wait(self._pause):
                    return
