"""The orders that every worker takes: those of `celery control`, with Celery's names, arguments and answers (wire.md 4.5)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import BackbeatError
from ..limit import TimeLimits
from ..rate import rate_of
from ..signum import signum_of
from ..stamping import revoked_stamps
from .panel import SILENT, control_command, nok, ok
from .state import WorkerState

logger = logging.getLogger("backbeat.worker")


@control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(
    state: WorkerState,
    task_id: str | Sequence[str],
    terminate: bool = False,
    signal: str | int | None = None,
    **_: Any,
) -> Any:
    """See to it that tasks with these ids do not start; with terminate, end those that run."""
    ids = [task_id] if isinstance(task_id, str) else [str(id_) for id_ in task_id or ()]
    if not ids:
        return nok("no ids: which tasks?")
    if not terminate:
        state.in_loop(lambda: state.worker.inside.revoke(ids))
        shown = ", ".join(map(repr, sorted(set(ids))))  # tools look for Celery's words, and that is a set
        return ok(f"tasks {{{shown}}} flagged as revoked")
    signum = signum_of(signal or "SIGTERM")
    running = {info["id"] for info in state.active()}
    state.in_loop(lambda: state.worker.inside.revoke(ids, signum))
    ended = [id_ for id_ in ids if id_ in running]
    return ok(f"terminate: {', '.join(ended)}" if ended else "terminate: tasks unknown")


@control_command(args=[("signal", str)], variadic="task_id", signature="<signal> [id1 [id2 [... [idN]]]]")
def terminate(state: WorkerState, signal: str | int, task_id: str | Sequence[str], **_: Any) -> Any:
    """End tasks with these ids by a signal, those that run too."""
    return revoke(state, task_id, terminate=True, signal=signal)


@control_command(variadic="headers", signature="[key1=value1 [key2=value2 [... [keyN=valueN]]]]")
def revoke_by_stamped_headers(
    state: WorkerState,
    headers: Mapping[str, Any] | Sequence[str],
    terminate: bool = False,
    signal: str | int | None = None,
    **_: Any,
) -> Any:
    """See to it that tasks with one of these stamps do not start; with terminate, end those that run."""
    keys, signum = revoked_stamps(headers), signum_of(signal or "SIGTERM") if terminate else None
    state.in_loop(lambda: state.worker.inside.revoke(keys, signum))
    if terminate:
        return ok(f"headers {headers} flagged as revoked and terminated")
    return ok(f"headers {headers} flagged as revoked, but not terminated")


@control_command(
    args=[("task_name", str), ("soft", float), ("hard", float)],
    signature="<task_name> <soft_secs> [hard_secs]",
)
def time_limit(
    state: WorkerState,
    task_name: str | None = None,
    hard: float | None = None,
    soft: float | None = None,
    **_: Any,
) -> Any:
    """Give a task other time limits, for those that start from now on and have none of their own."""
    if task_name not in state.app.tasks:
        return nok("unknown task")
    try:
        state.worker.inside.set_limits(str(task_name), TimeLimits(_seconds(hard), _seconds(soft)))
    except BackbeatError as error:
        return nok(str(error))
    logger.info(
        "new time limits of task %s: soft %s, hard %s", task_name, soft, hard, extra={"action": "time_limit"}
    )
    return ok("time limits set successfully")


@control_command(
    args=[("task_name", str), ("rate_limit", str)],
    signature="<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
)
def rate_limit(state: WorkerState, task_name: str | None = None, rate_limit: Any = None, **_: Any) -> Any:
    """Let a task start so often, and no more often, from now on; 0 is without limit."""
    try:
        has_rate = rate_of("rate_limit", rate_limit) is not None
    except BackbeatError as error:
        return nok(f"Invalid rate limit string: {error}")
    if task_name not in state.app.tasks:
        return nok("unknown task")
    state.in_loop(lambda: state.worker.inside.set_rate(str(task_name), rate_limit))
    logger.info("new rate limit of task %s: %s", task_name, rate_limit, extra={"action": "rate_limit"})
    return ok("new rate limit set successfully" if has_rate else "rate limit disabled successfully")


def _seconds(value: float | str | None) -> float | None:
    return None if value is None else float(value)


@control_command
def enable_events(state: WorkerState, **_: Any) -> Any:
    """Tell of tasks as they go."""
    if state.events is None:
        return nok("this worker sends no events: its broker carries none")
    if state.events.tells_tasks:
        return ok("task events already enabled")
    state.events.tells_tasks = True
    logger.info("events of tasks are sent from now on", extra={"action": "events_enabled"})
    return ok("task events enabled")


@control_command
def disable_events(state: WorkerState, **_: Any) -> Any:
    """Tell of tasks no more."""
    if state.events is None or not state.events.tells_tasks:
        return ok("task events already disabled")
    state.events.tells_tasks = False
    logger.info("events of tasks are sent no more", extra={"action": "events_disabled"})
    return ok("task events disabled")


@control_command
def heartbeat(state: WorkerState, **_: Any) -> Any:
    """Tell at once that it lives."""
    if state.events is not None:
        state.events.tell_beat()


@control_command(args=[("n", int)], signature="[N=1]")
def pool_grow(state: WorkerState, n: int = 1, **_: Any) -> Any:
    """Run N more tasks side by side."""
    state.worker.sizing.grow(n)
    return ok("pool will grow")


@control_command(args=[("n", int)], signature="[N=1]")
def pool_shrink(state: WorkerState, n: int = 1, **_: Any) -> Any:
    """Run N tasks less side by side; what runs ends first."""
    state.worker.sizing.shrink(n)
    return ok("pool will shrink")


@control_command
def pool_restart(
    state: WorkerState,
    modules: Sequence[str] | None = None,
    reload: bool = False,
    reloader: Any = None,
    **_: Any,
) -> Any:
    """Replace the processes that run tasks by ones that import the app anew; what runs ends first."""
    # a new process imports everything anew, so there is nothing of single modules to do
    state.worker.sizing.restart()
    return ok("reload started")


@control_command(args=[("max", int), ("min", int)], signature="[max [min]]")
def autoscale(state: WorkerState, max: int | None = None, min: int | None = None, **_: Any) -> Any:
    """Run between MIN and MAX tasks side by side, as there are any."""
    sizing = state.worker.sizing
    most, least = sizing.bounds or (sizing.size, 1)
    most, least = most if max is None else max, least if min is None else min
    sizing.autoscale(most, least)
    return ok(f"autoscale now max={most} min={least}")


@control_command(signature="[msg]", args=[("msg", str)])
def shutdown(state: WorkerState, msg: str = "it was told to, by remote control", **_: Any) -> Any:
    """Stop: what runs may end within the grace, the rest is handed back."""
    logger.warning("the worker stops: %s", msg, extra={"action": "worker_shutdown"})
    state.worker.shutdown()
    return SILENT


@control_command(
    args=[("queue", str), ("exchange", str), ("exchange_type", str), ("routing_key", str)],
    signature="<queue> [exchange [type [routing_key]]]",
)
def add_consumer(
    state: WorkerState,
    queue: str,
    exchange: str | None = None,
    exchange_type: str | None = None,
    routing_key: str | None = None,
    **_: Any,
) -> Any:
    """Serve one more queue."""
    if (
        exchange not in (None, "", queue)
        or exchange_type not in (None, "direct")
        or routing_key not in (None, queue)
    ):
        return nok(f"queue {queue} has a direct exchange of its own name here: name others in task_queues")
    state.in_loop(lambda: state.worker.inside.serve(queue))
    logger.info("serves queue %s from now on", queue, extra={"action": "consumer_added"})
    return ok(f"add consumer {queue}")


@control_command(args=[("queue", str)], signature="<queue>")
def cancel_consumer(state: WorkerState, queue: str, **_: Any) -> Any:
    """Serve a queue no more; what was taken of it is run."""
    state.in_loop(lambda: state.worker.inside.serve_no_more(queue))
    logger.info("serves queue %s no more", queue, extra={"action": "consumer_cancelled"})
    return ok(f"no longer consuming from {queue}")


@control_command(visible=False, args=[("id", str), ("topic", str)])
def election(state: WorkerState, id: str = "", topic: str = "", action: Any = None, **_: Any) -> Any:
    """Celery's workers elect one of them for an action; backbeat's take no part, as what only one may do has a lease here."""
