"""The questions that every worker answers: those of `celery inspect`, with Celery's names, arguments and shapes (wire.md 4.5)."""

from __future__ import annotations

import gc
import os
import resource
import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..bug_report import bug_report, masked_settings
from ..built_in import BUILT_IN
from ..message import CONTROL_QUEUE
from ..places import broker_url
from ..pools.memory import resident_kib
from ..queue_table import queue_table
from .broker_info import broker_info, queue_info
from .panel import inspect_command
from .state import WorkerState
from .task_info import Info

MOST_SCHEDULED = 10_000
"""So many of what waits for its time are told."""
MOST_REVOKED = 50_000
DEFAULT_ITEMS = ("exchange", "routing_key", "rate_limit")
_samples: list[str] = []
"""What `memsample` saw, for `memdump`."""


@inspect_command(default_timeout=0.2)
def ping(state: WorkerState, **_: Any) -> Any:
    """Ask whether it is there."""
    return {"ok": "pong"}


@inspect_command(alias="dump_active", args=[("safe", bool)], signature="")
def active(state: WorkerState, safe: bool = False, **_: Any) -> Sequence[Info]:
    """Tasks that run."""
    return state.active()


@inspect_command(alias="dump_reserved")
def reserved(state: WorkerState, **_: Any) -> Sequence[Info]:
    """Tasks that it has and that do not run yet."""
    return state.reserved()


@inspect_command(alias="dump_schedule")
def scheduled(state: WorkerState, **_: Any) -> Sequence[Any]:
    """Tasks of its queues that wait for their time (eta, countdown, a retry's delay)."""
    return state.scheduled(MOST_SCHEDULED)


@inspect_command(alias="dump_revoked")
def revoked(state: WorkerState, **_: Any) -> Sequence[str]:
    """Ids of tasks that shall not run."""
    return state.in_loop(lambda: state.worker.inside.revoked(MOST_REVOKED))


@inspect_command(alias="dump_tasks", variadic="taskinfoitems", signature="[attr1 ... [attrN]]")
def registered(
    state: WorkerState, taskinfoitems: Sequence[str] | None = None, builtins: bool = False, **_: Any
) -> Sequence[str]:
    """Tasks that it knows, with what of their options is asked for."""
    tasks = state.app.tasks
    names = sorted(name for name in tasks if builtins or name not in BUILT_IN)
    return [_described(tasks[name], taskinfoitems or DEFAULT_ITEMS) for name in names]


def _described(task: Any, items: Sequence[str]) -> str:
    fields = {item: getattr(task, item, None) for item in items}
    shown = " ".join(f"{item}={value!s}" for item, value in fields.items() if value is not None)
    return f"{task.name} [{shown}]" if shown else str(task.name)


@inspect_command
def stats(state: WorkerState, **_: Any) -> Any:
    """What it runs with, and how much it has done."""
    conf = state.app.conf
    processes = state.in_loop(lambda: [*state.worker.inside.pids])
    bounds = state.worker.sizing.bounds
    scaling = {} if bounds is None else {"autoscaler": _scaling(bounds, state)}
    return {
        "total": dict(state.tally.total),
        "pid": os.getpid(),
        "clock": str(state.clock.value),
        "uptime": state.tally.seconds,
        "pool": {
            "implementation": f"backbeat.canvas.pools:{state.pool}",
            "max-concurrency": state.worker.sizing.size,
            "processes": processes,
            "max-tasks-per-child": conf.worker_max_tasks_per_child or "N/A",
            "put-guarded-by-semaphore": False,
            "timeouts": [conf.task_soft_time_limit or 0, conf.task_time_limit or 0],
            "writes": {"inqueues": {"active": state.tally.busy, "total": len(processes)}},
        },
        "broker": broker_info(broker_url(conf), conf),
        "prefetch_count": state.worker.sizing.size * int(conf.worker_prefetch_multiplier),
        "rusage": _usage(),
        **scaling,
    }


def _scaling(bounds: tuple[int, int], state: WorkerState) -> dict[str, int]:
    most, least = bounds
    return {"max": most, "min": least, "current": state.worker.sizing.size, "qty": state.tally.busy}


def _usage() -> dict[str, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {name[3:]: getattr(usage, name) for name in dir(usage) if name.startswith("ru_")}


@inspect_command
def active_queues(state: WorkerState, **_: Any) -> Sequence[Any]:
    """Queues that it serves."""
    names = state.in_loop(lambda: [*state.worker.inside.queues])
    table = queue_table(state.app.conf)
    return [queue_info(table.queue(name)) for name in names if name != CONTROL_QUEUE]


@inspect_command(args=[("ids", str)], variadic="ids", signature="[id1 [id2 [... [idN]]]]")
def query_task(state: WorkerState, ids: Sequence[str] | str, **_: Any) -> Any:
    """What it knows of tasks with these ids."""
    wanted = {ids} if isinstance(ids, str) else set(ids)
    found: dict[str, Any] = {}
    for name, infos in (
        ("scheduled", [each["request"] for each in state.scheduled(MOST_SCHEDULED)]),
        ("reserved", state.reserved()),
        ("active", state.active()),
    ):
        found |= {info["id"]: [name, info] for info in infos if info["id"] in wanted}
    return found


@inspect_command(alias="dump_conf", args=[("with_defaults", bool)], signature="[include_defaults=False]")
def conf(state: WorkerState, with_defaults: bool = False, **_: Any) -> Any:
    """Its settings; what is secret is not shown."""
    return masked_settings(state.app.conf, with_defaults=with_defaults)


@inspect_command(default_timeout=2.0)
def report(state: WorkerState, **_: Any) -> Any:
    """Versions and settings, for who reports a fault."""
    return {"ok": bug_report(state.app)}


@inspect_command
def clock(state: WorkerState, **_: Any) -> Any:
    """Its logical clock."""
    return {"clock": state.clock.value}


@inspect_command(signature="<node>", visible=False)
def hello(state: WorkerState, from_node: str, revoked: Any = None, **_: Any) -> Any:
    """Another worker has started: Celery's tell each other what is revoked; here that is in the store."""
    if from_node == state.hostname:
        return None
    ids = [*revoked] if isinstance(revoked, dict | list) else []
    if ids:
        state.in_loop(lambda: state.worker.inside.revoke([str(id_) for id_ in ids]))
    return {"revoked": {}, "clock": state.clock.forward()}


@inspect_command
def memsample(state: WorkerState, **_: Any) -> str:
    """How large it is."""
    sample = f"{resident_kib() / 1024:.1f}MB"
    _samples.append(sample)
    del _samples[:-100]
    return sample


@inspect_command(args=[("samples", int)], signature="[n_samples=10]")
def memdump(state: WorkerState, samples: int = 10, **_: Any) -> str:
    """How large it was when it was asked, the last times."""
    lines = [f"- rss ({number}): {sample}." for number, sample in enumerate(_samples[-int(samples) :])]
    return "\n".join([*lines, f"- rss (end): {memsample(state)}."]) + "\n"


@inspect_command(
    default_timeout=60.0,
    args=[("type", str), ("num", int), ("max_depth", int)],
    signature="[object_type=Request] [num=200 [max_depth=10]]",
)
def objgraph(state: WorkerState, num: int = 200, max_depth: int = 10, type: str = "Request", **_: Any) -> Any:
    """Count the objects that it keeps, by type, into a file: the `num` types with most, and how many are of `type`."""
    counts = Counter(each.__class__.__name__ for each in gc.get_objects())
    lines = [
        f"{type} {counts.get(type, 0)}",
        *(f"{name} {count}" for name, count in counts.most_common(int(num))),
    ]
    with tempfile.NamedTemporaryFile("w", prefix="cobjg", suffix=".txt", delete=False) as file:
        file.write("\n".join(lines) + "\n")
    return {"filename": file.name}
