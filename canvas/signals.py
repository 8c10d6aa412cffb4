"""Signals: the moments that a project can hear of, under Celery's names; each says where it comes and with what. See docs/tasks.md."""

from __future__ import annotations

from .signal import Signal

__all__ = [
    "after_setup_logger",
    "after_setup_task_logger",
    "after_task_publish",
    "beat_embedded_init",
    "beat_init",
    "before_task_publish",
    "celeryd_after_setup",
    "celeryd_init",
    "eventlet_pool_apply",
    "eventlet_pool_postshutdown",
    "eventlet_pool_preshutdown",
    "eventlet_pool_started",
    "heartbeat_sent",
    "import_modules",
    "setup_logging",
    "task_failure",
    "task_internal_error",
    "task_postrun",
    "task_prerun",
    "task_received",
    "task_rejected",
    "task_retry",
    "task_revoked",
    "task_sent",
    "task_success",
    "task_unknown",
    "user_preload_options",
    "worker_before_create_process",
    "worker_init",
    "worker_process_init",
    "worker_process_shutdown",
    "worker_ready",
    "worker_shutdown",
    "worker_shutting_down",
]


def _signal(name: str, args: str = "", never: str = "") -> Signal:
    return Signal(name, frozenset(args.split()), never=never)


# --- sending, in the process that sends; `sender` is the task's name --------------------------------------------------------------

before_task_publish = _signal(
    "before_task_publish", "body exchange routing_key headers properties declare retry_policy"
)
"""A message is about to be sent by `delay`, `apply_async` and the like. What a receiver adds to `headers` goes with it."""
after_task_publish = _signal("after_task_publish", "body exchange routing_key headers")
"""The broker has it. Steps that follow are told of by the worker that sends them."""
task_sent = _signal("task_sent", never="it is Celery's old name of after_task_publish")

# --- a run, in the process that runs it; `sender` is the task ---------------------------------------------------------------------

task_prerun = _signal("task_prerun", "task_id task args kwargs")
"""The function is about to be called."""
task_postrun = _signal("task_postrun", "task_id task args kwargs retval state")
"""It has ended, in whatever way."""
task_success = _signal("task_success", "result runtime")
"""It returned, after `runtime` seconds."""
task_failure = _signal("task_failure", "task_id exception args kwargs traceback einfo")
"""It raised, and is not run again. Of a task whose process died the worker tells: `traceback` and `einfo` are None then."""
task_retry = _signal("task_retry", "request reason einfo")
"""It will run again; `reason` is the Retry."""
task_internal_error = _signal("task_internal_error", "task_id args kwargs request exception traceback einfo")
"""Something of ours failed around the function; the task fails with it."""

# --- messages, in the worker's own process; `sender` is its node name -------------------------------------------------------------

task_received = _signal("task_received", "request")
"""A task was taken, and is about to be given to the pool."""
task_revoked = _signal("task_revoked", "request terminated signum expired")
"""It was revoked, has expired, or was terminated; `sender` is the task, if the worker has it."""
task_rejected = _signal("task_rejected", "message exc")
"""A message was refused: it is no task's, or its task rejected it."""
task_unknown = _signal("task_unknown", "message exc name id")
"""The worker has no task of that name."""

# --- programs ---------------------------------------------------------------------------------------------------------------------

import_modules = _signal("import_modules")
"""An app imports the modules that define tasks; `sender` is the app. In each process that needs them."""
celeryd_init = _signal("celeryd_init", "instance conf options")
"""A worker's program begins, with its settings, which may still be changed; `sender` is the node name, `instance` the app."""
celeryd_after_setup = _signal("celeryd_after_setup", "instance conf")
"""Its worker is made, and takes nothing yet; `sender` is the node name, `instance` the worker."""
worker_init = _signal("worker_init")
"""As celeryd_after_setup; `sender` is the worker."""
worker_ready = _signal("worker_ready")
"""It takes messages from now on."""
worker_shutting_down = _signal("worker_shutting_down", "sig how exitcode")
"""It was told to stop; `sender` is the node name."""
worker_shutdown = _signal("worker_shutdown")
"""It has stopped."""
worker_process_init = _signal("worker_process_init")
"""A process that runs tasks has imported the app; `sender` is the node name."""
worker_process_shutdown = _signal("worker_process_shutdown", "pid exitcode")
"""Such a process ends by itself; one that is killed tells nothing."""
setup_logging = _signal("setup_logging", "loglevel logfile format colorize")
"""A program is about to set up logging; if there is a receiver that is left to it."""
after_setup_logger = _signal("after_setup_logger", "logger loglevel logfile format colorize")
"""It has set it up; `logger` is the root logger."""
after_setup_task_logger = _signal("after_setup_task_logger", "logger loglevel logfile format colorize")
"""Likewise; `logger` is the parent of those of `get_task_logger`."""
beat_init = _signal("beat_init")
"""A beat begins; `sender` is the beat."""

# --- that only Celery has ---------------------------------------------------------------------------------------------------------

beat_embedded_init = _signal("beat_embedded_init", never="a beat does not run inside a worker")
heartbeat_sent = _signal("heartbeat_sent", never="workers renew leases and send no heartbeats of their own")
worker_before_create_process = _signal(
    "worker_before_create_process",
    never="children are born of a process that has imported the app and nothing else; use worker_process_init",
)
user_preload_options = _signal("user_preload_options", never="the command line takes no options of projects")
eventlet_pool_started = _signal(
    "eventlet_pool_started",
    never="a pool of eventlet has a process of its own, which sends worker_process_init",
)
eventlet_pool_preshutdown = _signal(
    "eventlet_pool_preshutdown",
    never="a pool of eventlet has a process of its own, which sends worker_process_init",
)
eventlet_pool_postshutdown = _signal(
    "eventlet_pool_postshutdown",
    never="a pool of eventlet has a process of its own, which sends worker_process_init",
)
eventlet_pool_apply = _signal(
    "eventlet_pool_apply",
    "target args kwargs",
    never="a pool of eventlet has a process of its own, which sends worker_process_init",
)
