"""Crontab: the lines of a crontab file as schedules of one task that gets the command as its argument.

PURE. Lines follow crontab(5): comments, settings, five fields or a word, then the command; in a system's crontab a user stands between.
The comment above a line becomes its description. cron never makes up for missed runs, so the schedules say `catch_up: none`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..entry import CatchUp, Entry
from ..errors import ScheduleError
from ..schedule import Crontab
from ..zone import zone_named
from .haul import Draft, Haul, Sorting, Unmapped, signature

_SETTING = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|\"[^\"]*\"|'[^']*')\s*=\s*(.*?)\s*\Z")
_ZONES = ("CRON_TZ", "TZ")
_SLUG = re.compile(r"[^A-Za-z0-9]+")
_FIELDS = 5
_NAME_LIMIT = 60


@dataclass(slots=True)
class _Page:
    """What the lines above say."""

    zone: str
    above: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    zones: list[str] = field(default_factory=list)


def read_crontab(lines: Iterator[str], *, task: str, zone: str, is_system: bool = False) -> Haul:
    """The haul of a crontab. `zone` is where its times are meant when no CRON_TZ line says it."""
    page, sorting = _Page(zone=zone), Sorting()
    names: set[str] = set()
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line:
            page.above.clear()
        elif line.startswith("#"):
            page.above.append(line.lstrip("# "))
        elif (setting := _SETTING.match(raw)) is not None:
            _take_setting(setting[1].strip("\"'"), setting[2].strip("\"'"), number, page, sorting)
        else:
            _take_line(line, number, task, page, sorting, names, is_system=is_system)
    return sorting.haul("a crontab", _remarks(page, zone))


def _take_setting(name: str, value: str, number: int, page: _Page, sorting: Sorting) -> None:
    page.above.clear()
    if name not in _ZONES:
        page.settings[name] = value
        return
    try:
        zone_named(value.lstrip(":"))
    except ScheduleError as error:
        sorting.unmapped.append(Unmapped(name=f"line {number}", reason=error.message, text=f"{name}={value}"))
        return
    page.zone = value.lstrip(":")
    page.zones.append(f"{name}={value}")


def _take_line(
    line: str, number: int, task: str, page: _Page, sorting: Sorting, names: set[str], *, is_system: bool
) -> None:
    try:
        expression, user, command = _parts(line, is_system=is_system)
        when = Crontab(expression=expression, timezone=page.zone)
    except ScheduleError as error:
        sorting.unmapped.append(Unmapped(name=f"line {number}", reason=error.message, text=line))
        return
    finally:
        above = " ".join(page.above)
        page.above.clear()
    command, fed = _command(command)
    entry = Entry(
        name=_name(command, names),
        when=when,
        what=signature(task, [command], {}, {}),
        catch_up=CatchUp.NONE,
        description=above,
    )
    notes = [f"line {number}: {line}"] + ([f"it ran as the user {user}"] if user else [])
    lost = ["cron feeds what follows the first % to the command as its input"] if fed else []
    sorting.drafts.append(Draft(entry=entry, notes=tuple(notes), lost=tuple(lost)))


def _parts(line: str, *, is_system: bool) -> tuple[str, str, str]:
    """Expression, user and command."""
    is_word = line.startswith("@")
    count = 1 if is_word else _FIELDS
    parts = line.split(None, count + is_system)
    if len(parts) <= count + is_system:
        raise ScheduleError(f"five fields{', a user' if is_system else ''} and a command are expected")
    expression = " ".join(parts[:count])
    if expression.lower() == "@reboot":
        raise ScheduleError(f"{expression} is no time: let the service that starts at boot send the task")
    return expression, parts[count] if is_system else "", parts[-1]


def _command(written: str) -> tuple[str, bool]:
    """The command as the shell gets it, and whether cron would feed it something."""
    command, *fed = re.split(r"(?<!\\)%", written, maxsplit=1)
    return command.replace("\\%", "%").strip(), bool(fed)


def _name(command: str, names: set[str]) -> str:
    words = [word for word in command.split() if "=" not in word] or [command]
    slug = (
        _SLUG.sub("-", " ".join([words[0].rpartition("/")[2], *words[1:2]])).strip("-").lower()[:_NAME_LIMIT]
        or "command"
    )
    name, count = slug, 1
    while name in names:
        count += 1
        name = f"{slug}-{count}"
    names.add(name)
    return name


def _remarks(page: _Page, zone: str) -> tuple[str, ...]:
    remarks = [f"times are in {zone} where no CRON_TZ says another zone (--timezone)"]
    if any(setting.startswith("TZ=") for setting in page.zones):
        remarks.append(
            "TZ moves the times in some crons (cronie: CRON_TZ) and is only the command's environment in Debian's: check it"
        )
    if "MAILTO" in page.settings:
        remarks.append(
            f"MAILTO={page.settings.pop('MAILTO')}: the output of commands is mailed by cron, not by a worker; use on_error:"
        )
    if page.settings:
        shown = ", ".join(f"{name}={value}" for name, value in page.settings.items())
        remarks.append(f"the crontab sets {shown}: the task must set it for its command")
    return tuple(remarks)
