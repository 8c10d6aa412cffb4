"""AppSource: the entries that a project writes in Python, in `app.conf.beat_schedule` and with `app.add_periodic_task` (owner app).

They are read once, when a beat starts: Python is not read again. Their schedules mean what they mean in Celery, but for the differences
that docs/migrating.md lists. A name that stands in a schedules file, too, is an error, as nobody could tell which of the two is meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from ..canvas.app import App
from ..canvas.codec import dumps
from ..canvas.errors import BackbeatError
from ..canvas.mark import plain
from ..canvas.node import HOOKS
from ..canvas.options import checked
from ..canvas.signature import Signature
from ..canvas.webhook.ending_urls import OPTIONS as ENDING_URLS
from ..canvas.webhook.ending_urls import check_ending_urls
from .celery_schedule import Translated, translated
from .entry import SECOND_US, Entry, Owner
from .errors import ScheduleError
from .files.definition import NAME_LIMIT
from .schedule import Crontab
from .zone import zone_name

KEYS = ("task", "schedule", "args", "kwargs", "options", "relative")
"""Of an entry of `beat_schedule`."""
CANVASES = {f"celery.{kind}": kind for kind in ("chain", "group", "chord")}
"""Tasks whose keyword arguments are a canvas."""


def read_app(app: App) -> tuple[Entry, ...]:
    """Import the project's modules, call its hooks, and read. Raises ScheduleError with all problems, ImproperlyConfigured."""
    app.finalize()
    return entries_of(app)


def entries_of(app: App) -> tuple[Entry, ...]:
    """The entries of `beat_schedule` and `add_periodic_task`. Raises ScheduleError with the problems of all of them."""
    zone = _zone(app)
    first: dict[str, str] = {}
    entries, problems = [], []
    for name, spec, place in _written(app):
        if first.setdefault(name, place) != place:
            problems.append(f"{place}: {name}: duplicate schedule (first in {first[name]})")
            continue
        try:
            entries.append(_entry(app, name, spec, place, zone))
        except (ScheduleError, BackbeatError, TypeError, ValueError) as error:
            problems.append(f"{place}: {name}: {error}")
    if problems:
        raise ScheduleError("\n".join(problems))
    return tuple(entries)


def _written(app: App) -> Iterator[tuple[str, Any, str]]:
    noun = f"app {app.name}" if app.name else "the app"
    for name, spec in (app.conf.beat_schedule or {}).items():
        yield str(name), spec, f"{noun}, beat_schedule"
    for name, spec in app.periodic_tasks.items():
        yield name, spec, f"{noun}, add_periodic_task"


def _zone(app: App) -> str:
    if app.conf.timezone is None and not app.conf.enable_utc:
        raise ScheduleError(
            "enable_utc is False and timezone is not set, so that times would depend on the host",
            help='app.conf.timezone = "Europe/Berlin"',
        )
    return zone_name(app.conf.timezone)


def _entry(app: App, name: str, spec: Any, place: str, zone: str) -> Entry:
    if not isinstance(spec, Mapping):
        raise ScheduleError(f"{spec!r:.80} is not an entry", help='{"task": "shop.sync", "schedule": 30.0}')
    _check_keys(spec)
    _check_name(name)
    when = translated(spec["schedule"], zone=zone, relative=bool(spec.get("relative")))
    what = _what(spec)
    _check_text(what)
    return Entry(
        name=name,
        when=when.when,
        what=what,
        catch_up_window_us=_window_us(app, when),
        owner=Owner.APP,
        source=place,
    )


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > NAME_LIMIT:
        raise ScheduleError(
            f"the name of a schedule is printable text of 1 to {NAME_LIMIT} characters, not {len(name)} of them: {name!r:.80}"
        )


def _check_text(what: Mapping[str, Any]) -> None:
    """One entry that no store could take would keep all of them out."""
    try:
        dumps(what).encode()
        json.dumps(what, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ScheduleError("a text of it holds half a surrogate pair, which UTF-8 does not have") from error


def _check_keys(spec: Mapping[str, Any]) -> None:
    for key in spec:
        if key not in KEYS:
            near = get_close_matches(str(key), KEYS, n=1)
            hint = (
                f"did you mean {near[0]}?"
                if near
                else f"one of {', '.join(KEYS)}; policies are written in schedules.yaml"
            )
            raise ScheduleError(f"unknown key {key!r}", help=hint)
    for key in ("task", "schedule"):
        if spec.get(key) is None:
            raise ScheduleError(f"no {key}", help='{"task": "shop.sync", "schedule": 30.0}')


def _what(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The signature in Celery's JSON shape; values that JSON does not have travel in kombu's tagged form, tuples as lists."""
    if isinstance(spec["task"], Signature):
        spec = {**spec, **_laid_on(spec["task"], spec)}
    task = getattr(spec["task"], "name", spec["task"])
    if not isinstance(task, str) or not task:
        raise ScheduleError(f"{task!r:.80} is not the name of a task", help='"task": "shop.sync"')
    options = dict(spec.get("options") or {})
    links = {key: options.pop(key) for key in ("link", "link_error", *HOOKS) if options.get(key)}
    urls = {key: options.pop(key) for key in ENDING_URLS if options.get(key) is not None}
    check_ending_urls(urls)
    policy = {key: options.pop(key) for key in ("failure_policy",) if task in CANVASES and key in options}
    signature = {
        "task": task,
        "args": list(spec.get("args") or ()),
        "kwargs": dict(spec.get("kwargs") or {}),
        "options": checked(options)
        | policy
        | urls
        | {key: value if isinstance(value, list | tuple) else [value] for key, value in links.items()},
        "subtask_type": CANVASES.get(task),
        "immutable": False,
    }
    what: dict[str, Any] = json.loads(plain(dumps(_data(signature))))
    return what


def _laid_on(signature: Signature, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A signature, or a canvas, as keys of an entry, with what the entry says itself: arguments in front, all else on top."""
    for key in ("args", "kwargs"):
        if signature["subtask_type"] in CANVASES.values() and spec.get(key):
            raise ScheduleError(
                f"{key} belong to a task, not to a {signature['subtask_type']}",
                help="write them in its steps",
            )
    return {
        "task": signature["task"],
        "args": [*(spec.get("args") or ()), *signature["args"]],
        "kwargs": {**signature["kwargs"], **(spec.get("kwargs") or {})},
        "options": {**signature["options"], **(spec.get("options") or {})},
    }


def _data(value: Any) -> Any:
    """Signatures, wherever they stand, as plain maps: a group is iterated as its members, and not as a map."""
    match value:
        case dict():
            return {key: _data(each) for key, each in dict.items(value)}
        case list():
            return [_data(each) for each in value]
        case tuple() if type(value) is tuple:
            return tuple(map(_data, value))
        case _:
            return value


def _window_us(app: App, when: Translated) -> int | None:
    """`beat_cron_starting_deadline` is about crontabs only, as in Celery."""
    seconds = app.conf.beat_cron_starting_deadline
    return round(seconds * SECOND_US) if seconds is not None and isinstance(when.when, Crontab) else None
