"""Observation: all that watches one beat: its vitals, systemd, the self-audit and the probe server, put together.

The command line makes it before the beat, as it is what the beat tells; `watch` gives it the beat, `close` ends its threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from ..canvas.brokers.base import Broker
from ..canvas.probe_server import NO_METRICS, Answer, ProbeServer, address_of, is_loopback
from .auditor import Auditor
from .broker_probe import BrokerProbe
from .fanout import Fanout
from .health import Verdict, liveness, readiness
from .installed import installed_version
from .status_page import StatusPage
from .store.audit_reader import AuditReader
from .store.store_reader import StoreReader, open_reading
from .systemd import SystemdListener
from .vitals import Figures, Vitals

log = logging.getLogger(__name__)


class Observation:
    """What watches a beat. `listener` is for the beat."""

    def __init__(self, store_url: str) -> None:
        self._store_url = store_url
        self.vitals = Vitals()
        self.systemd = SystemdListener(vitals=self.vitals)
        self._auditor = (
            None if store_url.startswith("memory:") else Auditor(self._audit_reader, self.vitals.audited)
        )
        parts = (self.vitals, self.systemd, self._auditor)
        self.listener = Fanout([part for part in parts if part is not None])
        self._status = StatusPage(self.vitals, installed_version(), self._store_reader)
        self._server: ProbeServer | None = None

    def serve(self, web: str, open_broker: Callable[[], Broker]) -> str:
        """Serve probes and metrics at HOST:PORT; the address that is served. Raises ImproperlyConfigured where that cannot be."""
        host, port = address_of(web)
        probe = BrokerProbe(open_broker)
        if not is_loopback(host):
            log.warning(
                "--web %s: everybody who reaches this address reads names of entries and figures; it changes nothing",
                web,
                extra={"action": "web_is_open"},
            )
        pages = {
            "/healthz": lambda: _verdict(liveness(self.vitals)),
            "/readyz": lambda: _verdict(self._readiness(probe)),
            "/status": lambda: Answer.of_json(self._status.document()),
            "/metrics": _metrics(self.vitals),
        }
        self._server = ProbeServer(host, port, pages)
        return self._server.shown

    def waiting(self, fault: str) -> None:
        """What the beat stands on is absent at its start, and is tried again: it is alive, and not ready."""
        self.vitals.tried(fault)
        self.systemd.waiting(fault)

    def watch(self, figures: Figures) -> None:
        """Look at this beat from now on, in its own thread."""
        self.vitals.watch(figures)

    def close(self) -> None:
        """End the threads, give connections back."""
        if self._server is not None:
            self._server.close()
        if self._auditor is not None:
            self._auditor.close()
        self._status.close()

    def _readiness(self, probe: BrokerProbe) -> Verdict:
        first = readiness(self.vitals, Verdict(True, ""))
        return readiness(self.vitals, probe.ask()) if first.well else first

    def _audit_reader(self) -> AuditReader:
        engine = open_reading(self._store_url)
        assert engine is not None, "a memory store has no auditor"
        return AuditReader(engine)

    def _store_reader(self) -> StoreReader | None:
        engine = open_reading(self._store_url)
        return None if engine is None else StoreReader(engine)


def _verdict(verdict: Verdict) -> Answer:
    return Answer.of_text(verdict.text, HTTPStatus.OK if verdict.well else HTTPStatus.SERVICE_UNAVAILABLE)


def _metrics(vitals: Vitals) -> Callable[[], Answer]:
    try:
        from ..canvas.exposition import CONTENT_TYPE_LATEST, Exposition
        from .exposition import BeatFigures
    except ModuleNotFoundError:
        log.warning("--web serves health only: %s", NO_METRICS, extra={"action": "no_metrics"})
        return lambda: Answer.of_text(NO_METRICS, HTTPStatus.NOT_IMPLEMENTED)
    exposition = Exposition(BeatFigures(vitals, installed_version()))
    return lambda: Answer(HTTPStatus.OK, exposition.text(), CONTENT_TYPE_LATEST)
