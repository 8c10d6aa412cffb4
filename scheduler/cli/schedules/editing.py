"""`schedules add`, `schedules change`: definitions, by options or by a piece of YAML."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ....canvas.cli import Options
from ..completing import name_argument
from ..opening import actor_option, opened
from ..table import clock, tz_option, zone_of
from .orders import end_of, reason_option, until_option

_TEXTS = (
    ("task", "Name of the task."),
    ("every", "An interval: 30s, 5m, 1h30m, 1mo."),
    ("rrule", "An iCalendar RRULE."),
    ("anchor", "Local time from which every and rrule count."),
    ("timezone", "IANA zone of cron, at and local times."),
    ("day_match", "any (cron) or all (Celery): how the two day fields are joined."),
    ("dst", "once, skip or twice: what a clock change does."),
    ("start", "No fire time before this local time."),
    ("end", "No fire time after it."),
    ("jitter", "Random delay of each firing, at most."),
    ("catch_up", "none, latest or all: what becomes of missed fire times."),
    ("catch_up_window", "How old a missed fire time may be."),
    ("grace", "How late a fire time is sent in any case."),
    ("overlap", "allow, skip, queue or cancel: while the run before it is not over."),
    ("overlap_timeout", "When a run counts as over."),
    ("delivery", "at_least_once or at_most_once."),
    ("late_after", "Sent later than this is late, and told."),
    ("description", "For people."),
    ("owner", "Whose it is: a team, for people."),
)
_NUMBERS = (
    ("cron_fields", "6: with seconds; 7: with years, too."),
    ("max_runs", "How often it fires at most."),
    ("catch_up_limit", "How many missed fire times are sent at most."),
)


def definition_options(command: Callable[..., None]) -> Callable[..., None]:
    """The keys of a schedule, each an option."""
    options = [
        click.option(f"--{name.replace('_', '-')}", name, help=text) for name, text in reversed(_TEXTS)
    ]
    options += [
        click.option(f"--{name.replace('_', '-')}", name, type=int, help=text)
        for name, text in reversed(_NUMBERS)
    ]
    options += [
        click.option("--cron", multiple=True, help="A crontab expression, in quotes; may be repeated."),
        click.option("--at", multiple=True, help="A local time; may be repeated."),
        click.option("--args", help="Arguments, as a JSON list."),
        click.option("--kwargs", help="Keyword arguments, as a JSON object."),
        click.option(
            "--option", "delivery_options", multiple=True, metavar="KEY=VALUE", help="queue=fast, priority=9."
        ),
        click.option("--tag", "tags", multiple=True, help="May be repeated."),
        click.option("--spread", help="true, false, or a duration: a fixed offset by the name."),
        click.option("--enabled/--disabled", default=None),
        click.option(
            "--from-yaml",
            "fragment",
            type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
            help="A schedules file with this schedule, or only its keys, all of them; - is standard input.",
        ),
    ]
    for option in options:
        command = option(command)
    return command


@click.command("add")
@click.argument("name")
@definition_options
@actor_option
@tz_option
@click.pass_obj
def add_(
    options: Options, /, name: str, fragment: Path | None, actor: str | None, tz: str | None, **given: Any
) -> None:
    """Add a schedule to the store. It fires from now on; nothing before now is made up for.

    backbeat schedules add report --task shop.report --cron "30 2 * * mon-fri" --timezone Europe/Berlin
    """
    from ...fragment import entry_from_yaml, entry_of
    from ...view import to_json

    keys = keys_of(given)
    if fragment is not None:
        _only_fragment(keys)
        entry = entry_from_yaml(name, _text(fragment), str(fragment))
    else:
        entry = entry_of(name, keys)
    with opened(options, actor=actor, make=True) as schedules:
        view = schedules.add_entry(entry)
    options.show(to_json(view), f"{name}: added, {view.when}, next {clock(view.next, zone_of(tz))}")


@click.command("change")
@name_argument()
@definition_options
@click.option("--revert", is_flag=True, help="Take the change off that lies on a file's definition.")
@click.option("--expect-rev", type=int, help="Only if it is at this revision, as `show` told.")
@reason_option
@until_option
@actor_option
@tz_option
@click.pass_obj
def change_(
    options: Options,
    /,
    name: str,
    fragment: Path | None,
    revert: bool,
    expect_rev: int | None,
    reason: str,
    until: str | None,
    actor: str | None,
    tz: str | None,
    **given: Any,
) -> None:
    """Change a schedule. What a file says about it stays below the change; --revert or --until brings it back.

    backbeat schedules change report --cron "0 6 * * *" --reason "the night is too busy" --until +7d
    """
    from ...fragment import entry_from_yaml
    from ...view import to_json

    keys = keys_of(given)
    with opened(options, actor=actor) as schedules:
        if revert:
            _only_fragment(keys)
            view = schedules.revert(name)
        elif fragment is not None:
            _only_fragment(keys)
            entry = entry_from_yaml(name, _text(fragment), str(fragment))
            view = schedules.change_to(
                name, entry, expected_rev=expect_rev, reason=reason, until=end_of(until, tz)
            )
        else:
            if not keys:
                raise click.UsageError("say what to change, e.g. --every 5m; --help lists what can be")
            view = schedules.change(
                name, expected_rev=expect_rev, reason=reason, until=end_of(until, tz), **keys
            )
    text = f"{name}: revision {view.rev}, {view.when}, {view.state}, next {clock(view.next, zone_of(tz))}"
    options.show(to_json(view), text)


def keys_of(given: dict[str, Any]) -> dict[str, Any]:
    """The keys of a schedule that were given as options."""
    options = given.pop("delivery_options", ())
    keys = {name: value for name, value in given.items() if value is not None and value != ()}
    for name in ("cron", "at", "tags"):
        if name in keys:
            keys[name] = keys[name][0] if len(keys[name]) == 1 and name != "tags" else list(keys[name])
    for name, kind in (("args", list), ("kwargs", dict)):
        if name in keys:
            keys[name] = _json(name, keys[name], kind)
    if keys.get("spread") in ("true", "false"):
        keys["spread"] = keys["spread"] == "true"
    if options:
        keys["options"] = dict(_pair(each) for each in options)
    return keys


def _json(name: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--{name} is not JSON: {error}") from error
    if not isinstance(value, kind):
        shape = "list: '[1, \"two\"]'" if kind is list else "object: '{\"part\": 3}'"
        raise click.UsageError(f"--{name} takes a JSON {shape}")
    return value


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--option {text}: write KEY=VALUE, e.g. queue=fast")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def _only_fragment(keys: dict[str, Any]) -> None:
    if keys:
        raise click.UsageError(f"either --from-yaml or --revert, or options such as --{next(iter(keys))}")


def _text(fragment: Path) -> str:
    if str(fragment) == "-":
        return sys.stdin.read()
    return fragment.read_text(encoding="utf-8")
