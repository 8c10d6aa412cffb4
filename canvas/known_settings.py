"""KnownSettings: every setting with its default, and those that this version does something with. PURE: two tables.

Config reads and checks them; a new setting is a line in both, and a reader in setting.py.
"""

from __future__ import annotations

from typing import Any

from .unneeded_settings import UNNEEDED

DEFAULTS: dict[str, Any] = {
    **UNNEEDED,
    "accept_content": ["json"],
    "beat_cron_starting_deadline": None,
    "beat_max_loop_interval": 0,
    "beat_schedule": {},
    "beat_sentry_monitors": False,
    "beat_schedule_filename": "celerybeat-schedule",
    "beat_scheduler": "celery.beat:PersistentScheduler",
    "beat_sync_every": 0,
    "broker_channel_error_retry": False,
    "broker_connection_max_retries": 100,
    "broker_connection_retry": True,
    "broker_connection_retry_on_startup": None,
    "broker_connection_timeout": 4,
    "broker_failover_strategy": None,
    "broker_heartbeat": 120,
    "broker_heartbeat_checkrate": 3.0,
    "broker_login_method": None,
    "broker_pool_acquire_timeout": None,
    "broker_native_delayed_delivery_queue_type": "quorum",
    "broker_pool_limit": 10,
    "broker_read_url": None,
    "broker_transport_options": {},
    "broker_url": None,
    "broker_use_ssl": False,
    "broker_write_url": None,
    "cache_backend": None,
    "canvas_mode": "strict",
    "canvas_wire": "auto",
    "cluster": None,
    "control_exchange": "celery",
    "control_queue_expires": 10,
    "control_queue_ttl": 300,
    "database_create_tables_at_setup": True,
    "database_engine_options": None,
    "database_pickled_rows": None,
    "database_table_names": None,
    "database_table_schemas": None,
    "database_url": None,
    "enable_utc": True,
    "event_exchange": "celeryev",
    "event_queue_expires": 60,
    "event_queue_prefix": "celeryev",
    "event_queue_ttl": 5,
    "event_serializer": "json",
    "history_max_days": 30.0,
    "history_max_runs": 100_000,
    "imports": (),
    "include": (),
    "outbox_table": "bb_outbox",
    "outbox_url": None,
    "redis_backend_use_ssl": None,
    "redis_max_connections": None,
    "redis_retry_on_timeout": False,
    "redis_socket_timeout": 120,
    "result_accept_content": None,
    "result_backend": None,
    "result_backend_always_retry": False,
    "result_backend_max_retries": None,
    "result_backend_transport_options": {},
    "result_chord_expires": None,
    "result_chord_join_timeout": 3.0,
    "result_chord_retry_interval": 1.0,
    "result_compression": None,
    "result_expires": 86_400,
    "result_extended": True,
    "result_failure_expires": None,
    "result_max_bytes": 1_048_576,
    "result_serializer": "json",
    "security_accept_unsigned": False,
    "security_keys": None,
    "task_acks_late": True,
    "task_acks_on_failure_or_timeout": True,
    "task_allow_error_cb_on_chord_header": False,
    "task_always_eager": False,
    "task_annotations": None,
    "task_compression": None,
    "task_create_missing_queue_type": "classic",
    "task_create_missing_queues": True,
    "task_default_delivery_mode": 2,
    "task_default_exchange": None,
    "task_default_exchange_type": "direct",
    "task_default_priority": None,
    "task_default_queue": "celery",
    "task_default_queue_type": "classic",
    "task_default_rate_limit": None,
    "task_default_routing_key": None,
    "task_eager_propagates": False,
    "task_ignore_result": False,
    "task_inherit_parent_priority": False,
    "task_lease_seconds": 10.0,
    "task_max_argument_bytes": 262_144,
    "task_max_lost": 3,
    "task_priority_order": "highest",
    "task_protocol": 2,
    "task_publish_retry": True,
    "task_publish_retry_policy": {
        "max_retries": 3,
        "interval_start": 0,
        "interval_max": 1,
        "interval_step": 0.2,
    },
    "task_queue_max_priority": None,
    "task_queues": None,
    "task_reject_on_worker_lost": None,
    "task_remote_tracebacks": False,
    "task_retry_on_worker_lost": False,
    "task_routes": None,
    "task_send_sent_event": False,
    "task_serializer": "json",
    "task_soft_time_limit": None,
    "task_store_eager_result": False,
    "task_store_errors_even_if_ignored": False,
    "task_time_limit": None,
    "task_traces": True,
    "task_track_started": True,
    "timezone": None,
    "webhook_allowed_hosts": (),
    "webhook_secret": None,
    "webhook_timeout": 10.0,
    "webhook_url": None,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_concurrency": None,
    "worker_deduplicate_successful_tasks": False,
    "worker_direct": False,
    "worker_disable_prefetch": False,
    "worker_disable_rate_limits": False,
    "worker_enable_remote_control": True,
    "worker_grace_seconds": 600.0,
    "worker_hijack_root_logger": False,
    "worker_log_format": None,
    "worker_lost_wait": 10,
    "worker_max_memory_per_child": None,
    "worker_max_tasks_per_child": None,
    "worker_pool": "processes",
    "worker_pool_start_method": "forkserver",
    "worker_prefetch_multiplier": 1,
    "worker_proc_alive_timeout": 4,
    "worker_redirect_stdouts": False,
    "worker_send_task_events": False,
    "worker_soft_shutdown_timeout": 0,
    "worker_state_db": None,
    "worker_task_log_format": None,
}
"""Every name that is known, with its default."""

OBEYED = frozenset(
    """
    accept_content
    beat_cron_starting_deadline
    beat_schedule
    beat_sentry_monitors
    broker_heartbeat
    broker_transport_options
    broker_url
    broker_use_ssl
    broker_write_url
    canvas_mode
    canvas_wire
    cluster
    control_exchange
    control_queue_expires
    control_queue_ttl
    database_pickled_rows
    database_table_names
    database_table_schemas
    database_url
    enable_utc
    event_exchange
    event_queue_expires
    event_queue_prefix
    event_queue_ttl
    history_max_days
    history_max_runs
    imports
    include
    outbox_table
    outbox_url
    redis_backend_use_ssl
    result_backend
    result_backend_transport_options
    result_chord_expires
    result_chord_join_timeout
    result_compression
    result_expires
    result_extended
    result_max_bytes
    result_serializer
    security_accept_unsigned
    security_keys
    task_acks_late
    task_allow_error_cb_on_chord_header
    task_always_eager
    task_annotations
    task_create_missing_queue_type
    task_create_missing_queues
    task_default_exchange
    task_default_exchange_type
    task_default_priority
    task_default_queue
    task_default_rate_limit
    task_default_queue_type
    task_default_routing_key
    task_eager_propagates
    task_ignore_result
    task_inherit_parent_priority
    task_lease_seconds
    task_max_argument_bytes
    task_max_lost
    task_priority_order
    task_protocol
    task_queue_max_priority
    task_queues
    task_routes
    task_send_sent_event
    task_serializer
    task_soft_time_limit
    task_store_eager_result
    task_time_limit
    task_traces
    task_track_started
    timezone
    webhook_allowed_hosts
    webhook_secret
    webhook_timeout
    webhook_url
    worker_concurrency
    worker_disable_rate_limits
    worker_enable_remote_control
    worker_grace_seconds
    worker_max_memory_per_child
    worker_max_tasks_per_child
    worker_pool
    worker_pool_start_method
    worker_prefetch_multiplier
    worker_send_task_events
    """.split()
)
"""What this version does something with. To set another one to anything but its default gives a warning, as nothing comes of it."""
