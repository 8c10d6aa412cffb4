"""The periodic tasks of a Celery project, as JSON: run by the project's own interpreter, where Celery is, and backbeat need not be.

It imports nothing of backbeat, and works with Python 3.8 and Celery 4.4 or later. What Celery itself expects of each schedule is asked
of its `is_due`, with a clock that is moved by hand. Arguments: app, from_us, to_us, limit. What the project prints goes to stderr.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - Python 3.8 has no datetime.UTC
FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
TASK_OPTIONS = ("queue", "exchange", "routing_key", "priority", "expires")
"""Options that a task brings along, as far as they belong into its message."""
TICK = timedelta(microseconds=1)


def main() -> None:
    """Write one line of JSON to what was stdout."""
    out = os.dup(1)
    os.dup2(2, 1)
    sys.path.insert(0, str(Path.cwd()))
    spec, *numbers = sys.argv[1:]
    text = json.dumps(project(spec, *map(int, numbers)))
    with os.fdopen(out, "w") as stream:
        stream.write(text + "\n")


def project(spec: str, from_us: int, to_us: int, limit: int) -> dict[str, Any]:
    """The app's entries and settings, after its modules and its hooks have run, as in Celery's own beat."""
    celery = import_module("celery")
    app = import_module("celery.app.utils").find_app(spec)
    app.loader.init_worker()
    app.finalize()
    conf = app.conf
    span = (from_us, to_us, limit)
    return {
        "app": app.main or spec,
        "celery": celery.__version__,
        "timezone": zone_name(app.timezone),
        "scheduler": str(conf.beat_scheduler),
        "starting_deadline": getattr(conf, "beat_cron_starting_deadline", None),
        "result_backend": bool(conf.result_backend),
        "entries": [entry(app, str(name), fields, span) for name, fields in conf.beat_schedule.items()],
    }


def entry(app: Any, name: str, fields: dict[str, Any], span: tuple[int, int, int]) -> dict[str, Any]:
    """One entry as JSON data; `error` says why there is not more of it."""
    found: dict[str, Any] = {"name": name}
    try:
        schedules = import_module("celery.schedules")
        found["text"] = repr(fields.get("schedule"))
        if isinstance(fields["task"], dict):  # a signature, or a canvas
            fields = {**fields, **laid_on(fields["task"], fields)}
        found["task"] = getattr(fields["task"], "name", fields["task"])
        found["relative"] = bool(fields.get("relative"))
        made = schedules.maybe_schedule(fields["schedule"], found["relative"], app=app)
        found["timing"] = timing(made, schedules)
        found["nowfun"] = (
            getattr(made, "nowfun", None) is not None and type(made).__module__ == "celery.schedules"
        )
        for key, empty in (("args", ()), ("kwargs", {}), ("options", {})):
            found[key] = plain(fields.get(key) or empty)
        found["preset"] = preset(app, found["task"], fields.get("options") or {})
    except Exception as error:  # noqa: BLE001 - a project's own classes may raise anything; it is told
        found["error"] = f"{type(error).__name__}: {error}"
        return found
    try:
        found["fires"] = fires(made, *span)
    except Exception as error:  # noqa: BLE001 - the same
        found["fires_error"] = f"{type(error).__name__}: {error}"
    return found


def laid_on(signature: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The signature as fields of an entry, with what the entry says itself."""
    return {
        "task": signature["task"],
        "args": [*(fields.get("args") or ()), *(signature.get("args") or ())],
        "kwargs": {**(signature.get("kwargs") or {}), **(fields.get("kwargs") or {})},
        "options": {**(signature.get("options") or {}), **(fields.get("options") or {})},
    }


def timing(made: Any, schedules: Any) -> dict[str, Any]:
    """What the schedule is made of. Classes that only add to Celery's own are read as these."""
    kind = type(made)
    name = f"{kind.__module__}.{kind.__qualname__}"
    known = kind.__module__.partition(".")[0] in ("celery", "django_celery_beat")
    if known and isinstance(made, schedules.crontab):
        fields = {field: plain_field(getattr(made, "_orig_" + field)) for field in FIELDS}
        return {"kind": "crontab", "fields": fields, "timezone": zone_name(made.tz)}
    if known and isinstance(made, schedules.schedule):
        relative = bool(getattr(made, "relative", False))
        return {"kind": "interval", "seconds": made.run_every.total_seconds(), "relative": relative}
    if known and isinstance(made, schedules.solar):
        return {"kind": "solar", "event": made.event, "lat": float(made.lat), "lon": float(made.lon)}
    if known and isinstance(getattr(made, "clocked_time", None), datetime):
        return {"kind": "clocked", "at": made.clocked_time.isoformat()}
    return {"kind": "custom", "class": name}


def fires(made: Any, from_us: int, to_us: int, limit: int) -> dict[str, Any]:
    """What a beat would do that starts at `from_us` and never sleeps too long: its fire times in microseconds, at most `limit`."""
    # as Celery's own now(): in the zone of the schedule, on whose midnights and hours `relative` and crontab stand
    zone = getattr(made, "tz", None) or timezone.utc  # noqa: UP017 - as above
    now, end = (EPOCH + timedelta(microseconds=each) for each in (from_us, to_us))
    clock = [now]
    ticking = copy.copy(made)
    ticking.nowfun = lambda: clock[0].astimezone(zone)
    times: list[int] = []
    last = now.astimezone(zone)
    while now <= end and len(times) < limit:
        clock[0] = now
        due, seconds = ticking.is_due(last)
        if due:
            times.append((now - EPOCH) // TICK)
            last = now.astimezone(zone)
        if seconds is None or seconds > (end - now).total_seconds():
            break
        now += max(timedelta(seconds=seconds), TICK)
    reached = times[-1] if len(times) >= limit else to_us
    return {"times": times, "to": reached}


def preset(app: Any, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """What Celery's beat adds to an entry's own options: the task's queue, priority and expiry, and the queue of the routes."""
    task = app.tasks.get(name)
    added = {key: getattr(task, key, None) for key in TASK_OPTIONS}
    given = {key: value for key, value in {**added, **options}.items() if value is not None}
    routed = app.amqp.router.route(dict(given), name, (), {})
    declared = queue_of(app, given.get("exchange"), given.get("routing_key"))
    queue = declared or getattr(routed.get("queue"), "name", None)
    own: dict[str, Any] = {
        key: option(key, given[key]) for key in ("priority", "expires") if key in given and key not in options
    }
    return {**own, "queue": queue, "declared": declared is not None}


def queue_of(app: Any, exchange: Any, routing_key: Any) -> str | None:
    """The name of the project's queue that an exchange and a routing key lead to."""
    if routing_key is None:
        return None
    wanted = getattr(exchange, "name", exchange)
    for queue in app.amqp.queues.values():
        if queue.routing_key == routing_key and wanted in (None, queue.exchange.name):
            return str(queue.name)
    return None


def plain(value: Any) -> Any:
    """As JSON data, by Celery's own encoder: signatures are maps, and moments and the like become tagged maps."""
    if isinstance(value, dict):
        value = {str(key): option(key, each) for key, each in value.items()}
    return json.loads(import_module("kombu.utils.json").dumps(value))


def option(key: str, value: Any) -> Any:
    """Lengths of time as seconds, moments as text, queues by name."""
    if key in ("expires", "countdown", "time_limit", "soft_time_limit") and isinstance(value, timedelta):
        return value.total_seconds()
    if key in ("expires", "eta") and isinstance(value, datetime):
        return value.isoformat()
    if key in ("queue", "exchange") and hasattr(value, "name"):
        return value.name
    return value


def plain_field(value: Any) -> Any:
    """A crontab field: text, a number or a sorted list."""
    return value if isinstance(value, (str, int)) else sorted(value)


def zone_name(zone: Any) -> str | None:
    """The IANA name of a zone; None where it has none, as the host's own."""
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str):
        return name
    return "UTC" if zone == timezone.utc else None  # noqa: UP017 - as above


if __name__ == "__main__":
    main()
