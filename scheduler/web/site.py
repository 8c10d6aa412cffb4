"""Site: what pages read: the store's entries, its history, and what it says of itself. Opened at the start, or as soon as the store is there.

A store that is away is tried again in the background (decisions B15); meanwhile every page says so, and no request waits for it.
"""

from __future__ import annotations

import copy
import logging
import threading
from dataclasses import dataclass

from ...canvas.app import App
from ...canvas.patience import Patience
from ...canvas.url_text import without_password
from ..errors import StoreDown
from ..history.history import SqlHistory
from ..history.wiring import check_lasting, open_history
from ..schedules import Schedules
from ..store.engine import PATIENT_SECONDS, open_engine
from ..store.store_reader import StoreReader
from ..store.wiring import open_store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Opened:
    schedules: Schedules
    history: SqlHistory
    reader: StoreReader

    def close(self) -> None:
        self.schedules.close()
        self.history.close()
        self.reader.close()


class Site:
    """Thread-safe. `schedules`, `history` and `reader` raise StoreDown while the store is away."""

    def __init__(self, app: App, store_url: str) -> None:
        check_lasting(store_url)
        self.app = app
        self.store = without_password(store_url)
        self._url = store_url
        self._opened: _Opened | None = None
        self._fault = StoreDown("the store is being opened")
        self._closed = threading.Event()
        self._opener: threading.Thread | None = None

    def open(self) -> None:
        """Try at once; if the store is away go on trying. Raises StoreRefused and ScheduleError for one that cannot be used."""
        if not self._try():
            log.warning("%s; trying again", self._fault, extra={"action": "store_absent"})
            self._opener = threading.Thread(target=self._keep_trying, name="store opener", daemon=True)
            self._opener.start()

    @property
    def schedules(self) -> Schedules:
        """The entries, and the orders of beat."""
        return self._there().schedules

    @property
    def history(self) -> SqlHistory:
        """What became of tasks."""
        return self._there().history

    @property
    def reader(self) -> StoreReader:
        """The lease, and what comes next."""
        return self._there().reader

    def acting(self, actor: str) -> Schedules:
        """The entries, for somebody whose name stands in the audit."""
        acting = copy.copy(self.schedules)
        acting.actor = actor
        return acting

    def now_us(self) -> int:
        """The time of the store."""
        return self.schedules.registry.now_us()

    def ready(self) -> str | None:
        """Asks the store; None if it answers, else why not."""
        try:
            self.reader.lease()
        except StoreDown as fault:
            return str(fault)
        return None

    def close(self) -> None:
        """Let go of the store."""
        self._closed.set()
        if self._opener is not None:
            self._opener.join(1.0)
        if self._opened is not None:
            self._opened.close()

    def _there(self) -> _Opened:
        if self._opened is None:
            raise StoreDown(str(self._fault))
        return self._opened

    def _try(self) -> bool:
        try:
            schedules = Schedules(open_store(self._url, otherwise=self.app.cluster))
            reader = StoreReader(open_engine(self._url, answer_seconds=PATIENT_SECONDS))
            self._opened = _Opened(schedules, open_history(self._url), reader)
        except StoreDown as fault:
            self._fault = fault
            return False
        return True

    def _keep_trying(self) -> None:
        patience = Patience()
        while not self._closed.wait(patience.next()[0]):
            try:
                if self._try():
                    log.info("The store answers", extra={"action": "store_there"})
                    return
            except Exception as fault:
                log.exception("The store cannot be used", extra={"action": "store_refused"})
                self._fault = StoreDown(f"the store cannot be used: {fault}")
