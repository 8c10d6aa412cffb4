"""Pages: what a worker serves with --web: /healthz, /readyz, and /metrics where prometheus-client is installed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

from ..bug_report import version_of
from ..probe_server import NO_METRICS, Answer
from .tasks_counted import TasksCounted
from .vitals import WorkerVitals

log = logging.getLogger(__name__)


def pages_of(pool: str, vitals: WorkerVitals, counted: TasksCounted) -> Mapping[str, Callable[[], Answer]]:
    """By their paths; `pool` is the kind of the worker's pool."""
    return {
        "/healthz": vitals.healthz,
        "/readyz": vitals.readyz,
        "/metrics": _metrics(pool, counted),
    }


def _metrics(pool: str, counted: TasksCounted) -> Callable[[], Answer]:
    try:
        from ..exposition import CONTENT_TYPE_LATEST, Exposition
        from .exposition import WorkerFigures
    except ModuleNotFoundError:
        log.warning("--web serves health only: %s", NO_METRICS, extra={"action": "no_metrics"})
        return lambda: Answer.of_text(NO_METRICS, HTTPStatus.NOT_IMPLEMENTED)
    figures = WorkerFigures(counted, pool=pool, version=version_of("backbeat") or "")
    exposition = Exposition(figures)
    return lambda: Answer(HTTPStatus.OK, exposition.text(), CONTENT_TYPE_LATEST)
