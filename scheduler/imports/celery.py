"""Celery: the periodic tasks of a Celery project, read by the project's own interpreter (celery_probe.py) and put into our words.

Celery need not be installed beside backbeat, nor backbeat beside Celery: `python` names the interpreter that can import the project.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any

from ..celery_schedule import Translated, clocked, crontab, interval
from ..entry import SECOND_US, Entry
from ..errors import ScheduleError
from ..schedule import Crontab, Solar
from .celery_option import mapped
from .haul import Draft, Fires, Haul, Sorting, Unmapped, signature

LIMIT = 10_500
"""Fire times of one entry that are compared at most: seven days of minutes."""
USUAL_QUEUE = "celery"
"""Where our beat sends what names no queue."""
PATIENCE_SECONDS = 300.0
OTHER_SCHEDULERS = {"DatabaseScheduler": "django", "RedBeatScheduler": "redbeat"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where the project is: its app as Celery's -A names it, the interpreter, and the span that Celery's fire times are asked for."""

    app: str
    python: str
    from_us: int
    to_us: int


def read_celery(project: Project) -> Haul:
    """The project's schedules. Raises ScheduleError when it cannot be loaded."""
    found = _asked(project)
    zone = found["timezone"]
    sorting = Sorting()
    for each in found["entries"]:
        _sort(each, zone, project.from_us, found["starting_deadline"], sorting)
    return sorting.haul(f"Celery {found['celery']}, app {found['app']}", _remarks(found))


def _asked(project: Project) -> Any:
    source = files(__package__).joinpath("celery_probe.py").read_text(encoding="utf-8")
    span = [str(number) for number in (project.from_us, project.to_us, LIMIT)]
    command = [project.python, "-c", source, project.app, *span]
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that the user named
            command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    except OSError as error:
        raise ScheduleError(
            f"{project.python} cannot be run: {error}", help="--python .venv/bin/python"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ScheduleError(f"{project.app} was not loaded within {PATIENCE_SECONDS:.0f} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ScheduleError(
            f"the project {project.app} cannot be loaded by {project.python}: {last}", help=_advice(last)
        )
    return json.loads(done.stdout.splitlines()[-1])


def _advice(last: str) -> str:
    if "No module named 'celery'" in last:
        return "name the project's interpreter: --python path/to/its/venv/bin/python"
    return "-A takes what celery -A takes; run it where the project can be imported"


def _remarks(found: Mapping[str, Any]) -> tuple[str, ...]:
    remarks = []
    for ending, command in OTHER_SCHEDULERS.items():
        if found["scheduler"].endswith(ending):
            remarks.append(
                f"beat_scheduler is {found['scheduler']}, which keeps more entries elsewhere: backbeat import {command}"
            )
    if found["timezone"] is None:
        remarks.append(
            "the time zone is the host's own, which has no name here: crontabs cannot be mapped; set timezone in the project"
        )
    if found["result_backend"]:
        remarks.append(
            "Celery's beat adds celery.backend_cleanup every day at 04:00 where the result backend does not expire by itself; "
            "Celery workers with such a backend still need an entry for it"
        )
    return tuple(remarks)


def _sort(
    found: Mapping[str, Any], zone: str | None, from_us: int, deadline: float | None, sorting: Sorting
) -> None:
    name, text = found["name"], str(found.get("text", ""))
    if "error" in found:
        sorting.unmapped.append(Unmapped(name=name, reason=found["error"], text=text))
        return
    try:
        sorting.drafts.append(_draft(found, zone, from_us, deadline))
    except (ScheduleError, ValueError, TypeError) as error:
        sorting.unmapped.append(Unmapped(name=name, reason=str(error), text=text))


def _draft(found: Mapping[str, Any], zone: str | None, from_us: int, deadline: float | None) -> Draft:
    when = _when(found["timing"], zone)
    given, said = _with_preset(found["options"], found["preset"])
    options = mapped(given)
    notes = [*when.notes, *said, *options.notes]
    if found["nowfun"]:
        notes.append("nowfun is ignored: the zone says what time it is")
    if "fires_error" in found:
        notes.append(f"not compared: Celery could not say when it fires ({found['fires_error']})")
    entry = Entry(
        name=found["name"],
        when=when.when,
        what=signature(found["task"], found["args"], found["kwargs"], options.options),
        end_us=options.end_us,
        catch_up_window_us=round(deadline * SECOND_US)
        if deadline and isinstance(when.when, Crontab)
        else None,
    )
    fires = found.get("fires")
    theirs = (
        None if fires is None else Fires(from_us=from_us, to_us=fires["to"], times_us=tuple(fires["times"]))
    )
    return Draft(entry=entry, notes=tuple(notes), lost=tuple(options.lost), theirs=theirs)


def _with_preset(given: Mapping[str, Any], preset: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The entry's options with what Celery's beat would add: without the project's settings our beat cannot know it."""
    options, notes = dict(given), []
    for key in ("priority", "expires"):
        if key in preset:
            options[key] = preset[key]
            notes.append(f"{key}: the task's own")
    if preset["declared"]:
        options = {key: value for key, value in options.items() if key not in ("exchange", "routing_key")}
    is_elsewhere = "exchange" in options or "routing_key" in options
    if options.get("queue") is None and not is_elsewhere and preset["queue"] not in (None, USUAL_QUEUE):
        options["queue"] = preset["queue"]
        notes.append("queue: where the project's routes send the task")
    return options, notes


def _when(timing: Mapping[str, Any], zone: str | None) -> Translated:
    match timing:
        case {"kind": "crontab", "fields": fields, "timezone": own}:
            named = own or zone
            if named is None:
                raise ScheduleError("the time zone is the host's own, which has no name here")
            return crontab(fields, zone=named)
        case {"kind": "interval", "seconds": seconds, "relative": relative}:
            return interval(seconds, zone=zone or "UTC", relative=relative)
        case {"kind": "solar", "event": event, "lat": lat, "lon": lon}:
            note = (
                "solar: Celery computes with ephem, backbeat with astral; they agree within a minute or two"
            )
            return Translated(when=Solar(event=event, latitude=lat, longitude=lon), notes=(note,))
        case {"kind": "clocked", "at": at}:
            return clocked(datetime.fromisoformat(at))
        case _:
            raise ScheduleError(
                f"{timing.get('class')} is a schedule class of its own",
                help="write its times as every:, cron:, at: or rrule:",
            )
