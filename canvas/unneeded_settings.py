"""Unneeded settings: those of Celery 5.7 that are about parts which backbeat has not, with Celery's defaults. PURE.

A project may keep them: Config knows them, and says when one is given another value that nothing comes of it. Those that say where
something is, or what may be believed, are not here: passing them over would lead to another place, or let something in.
"""

from __future__ import annotations

from typing import Any

UNNEEDED: dict[str, Any] = {
    "beat_enable_remote_control": False,
    "beat_remote_control_max_tick_age": None,
    "broker_pool_acquire_timeout": None,
    "control_queue_durable": False,
    "control_queue_exclusive": True,
    "database_engine_callback": None,
    "database_short_lived_sessions": False,
    "event_queue_durable": False,
    "event_queue_exclusive": True,
    "redis_socket_connect_timeout": None,
    "redis_socket_keepalive": False,
    "result_backend_base_sleep_between_retries_ms": 10,
    "result_backend_max_sleep_between_retries_ms": 10_000,
    "result_cache_max": -1,
    "result_exchange": "celeryresults",
    "result_exchange_type": "direct",
    "result_persistent": None,
    "task_create_missing_queue_exchange_type": None,
    "task_repr_maxlevels": 3,
    "worker_agent": None,
    "worker_autoscaler": "celery.worker.autoscale:Autoscaler",
    "worker_consumer": "celery.worker.consumer:Consumer",
    "worker_detect_quorum_queues": True,
    "worker_enable_prefetch_count_reduction": True,
    "worker_enable_soft_shutdown_on_idle": False,
    "worker_eta_task_limit": None,
    "worker_log_color": None,
    "worker_log_datefmt": None,
    "worker_pool_putlocks": True,
    "worker_pool_restarts": False,
    "worker_redirect_stdouts_level": "WARNING",
    "worker_task_log_datefmt": None,
    "worker_timer": None,
    "worker_timer_precision": 1.0,
}
