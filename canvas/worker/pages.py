"""Pages: what a worker serves with --web: /healthz, /readyz, and /metrics where prometheus-client is installed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

from ..application import App
from ..bug_report import version_of
from ..probe_server import NO_METRICS, Answer
from .tasks_counted import TasksCounted
from .vitals import WorkerVitals
from .wiring import WorkerOptions, concurrency_of

log = logging.getLogger(__name__)


def pages_of(
    app: App, options: WorkerOptions, vitals: WorkerVitals, counted: TasksCounted
) -> Mapping[str, Callable[[], Answer]]:
    """By their paths."""
    return {
        "/healthz": vitals.healthz,
        "/readyz": vitals.readyz,
        "/metrics": _metrics(app, options, counted),
    }


def _metrics(app: App, options: WorkerOptions, counted: TasksCounted) -> Callable[[], Answer]:
    try:
        from ..exposition import CONTENT_TYPE_LATEST, Exposition
        from .exposition import WorkerFigures
    except ModuleNotFoundError:
        log.warning("--web serves health only: %s", NO_METRICS, extra={"action": "no_metrics"})
        return lambda: Answer.of_text(NO_METRICS, HTTPStatus.NOT_IMPLEMENTED)
    figures = WorkerFigures(
        counted,
        size=options.autoscale[0] if options.autoscale else concurrency_of(app, options),
        pool=str(options.pool or app.conf.worker_pool),
        version=version_of("backbeat") or "",
    )
    exposition = Exposition(figures)
    return lambda: Answer(HTTPStatus.OK, exposition.text(), CONTENT_TYPE_LATEST)
