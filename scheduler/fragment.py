"""Fragment: one schedule by the keys of a schedules file, wherever they were said: on a command line, in a call, in a file.

There is one reader of schedules, that of files/: what is given here is written as YAML and read by it, so that all ways to say
something mean the same and give the same messages. Called by the command line and by `Schedules`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from typing import Any, TypedDict

from .edit import KeptEntry, laid_over, spec_text
from .entry import Entry, Owner
from .errors import ScheduleError
from .files import Loaded, Severity, parse
from .files.vocabulary import WHAT, WHEN
from .imports.definition import length_text
from .imports.yaml_text import key, mapping_text
from .order import CHANGEABLE
from .override import OverrideKind, override_of
from .transcript import transcribe
from .zone import zone_name

PLACE = "<call>"
"""The name of the file that there is not, in messages."""
_WHEN_DETAILS = ("cron_fields", "anchor", "day_match")
_WORK_DETAILS = ("args", "kwargs")

Moment = datetime | str
Length = timedelta | str | float


_Except = TypedDict("_Except", {"except": Sequence[Mapping[str, Any]]}, total=False)  # a word of Python's own


class ScheduleKeys(_Except, total=False):
    """The keys of a schedule, as docs/schedules.md has them; times are aware datetimes, lengths timedeltas or texts."""

    task: str
    signature: Mapping[str, Any]
    """A canvas in place of a task: what `chain(...)`, `group(...)` or `chord(...)` gives."""
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    every: Length
    cron: str | Sequence[str]
    at: Moment | Sequence[Moment]
    rrule: str
    solar: Mapping[str, Any]
    any: Sequence[Mapping[str, Any]]
    on_except: str
    chain: Sequence[Any]
    group: Sequence[Any]
    chord: Mapping[str, Any]
    on_success: Any
    on_error: Any
    webhook: str | Mapping[str, Any]
    on_done_url: str
    ping: str | Mapping[str, str]
    anchor: str
    timezone: str
    day_match: str
    dst: str
    cron_fields: int
    start: Moment
    end: Moment
    max_runs: int
    jitter: Length
    spread: Length | bool
    catch_up: str
    catch_up_window: Length
    catch_up_limit: int
    catch_up_rate: float | str
    grace: Length
    overlap: str
    overlap_timeout: Length
    delivery: str
    late_after: Length
    enabled: bool
    description: str
    tags: Sequence[str]
    owner: str


def entry_of(name: str, keys: Mapping[str, object], calendars: Mapping[str, object] | None = None) -> Entry:
    """The entry that these keys make, of the store's own. `calendars` are those that `except` may name.

    Raises: ScheduleError with what is wrong and what to write.
    """
    given = {name_: _plain(value, name_) for name_, value in keys.items() if name_ != "signature"}
    signature = keys.get("signature")
    if signature is None:
        return _read(name, given, calendars)
    if "task" in given:
        raise ScheduleError("both task and signature are given", help="keep one")
    entry = _read(name, {**given, "task": "signature"}, calendars)
    return replace(entry, what=_json(signature))


def changes_of(kept: KeptEntry, keys: Mapping[str, object]) -> dict[str, Any]:
    """The keys of `Entry.to_spec` that are different when these keys are said of the entry; for `order.Change`.

    Another `every`, `cron` ... takes the place of whatever said when; another task or canvas takes the place of the work, and
    a task without arguments keeps those that there are.
    """
    transcript = transcribe(undisturbed(kept))
    now = transcript.keys
    # both are read from keys, so that only what they mean counts, and not how a caller once spelled it
    before = entry_of(kept.name, now, transcript.calendars)
    return difference(before, entry_of(kept.name, {**_left(now, keys), **keys}, transcript.calendars))


def entry_from_yaml(name: str | None, text: str, file_name: str) -> Entry:
    """The entry of a YAML text: a whole schedules file, or only the keys of one schedule, which `name` then names.

    Raises: ScheduleError with all problems, rendered; and when the file has not one schedule, or not that one.
    """
    is_file = any(line.startswith("schedules:") for line in text.splitlines())
    if not is_file:
        if name is None:
            raise ScheduleError("the fragment does not say what it is called", help="name the schedule")
        body = "".join(f"    {line}\n" for line in text.splitlines())
        text = f"schedules:\n  {key(name)}:\n{body}"
    entries = {entry.name: entry for entry in _checked(parse(text, file_name, {})).entries}
    if name is None and len(entries) == 1:
        name = next(iter(entries))
    if name not in entries:
        raise ScheduleError(
            f"{file_name} has {len(entries)} schedules", help=f"name one of {', '.join(entries) or 'none'}"
        )
    return replace(entries[name], owner=Owner.DB, source="")


def yaml_of(entries: Sequence[Entry]) -> str:
    """A schedules file with these entries. One that a file cannot say is a comment that says why."""
    if not entries:
        return "version: 1\nschedules: {}\n"
    schedules: list[str] = []
    calendars: dict[str, object] = {}
    for entry in entries:
        try:
            transcript = transcribe(entry)
        except ScheduleError as error:
            schedules.append(f"  # {key(entry.name)}: {error.message}\n")
            continue
        calendars |= transcript.calendars
        schedules.append(mapping_text({entry.name: transcript.keys}, 2))
    head = f"calendars:\n{mapping_text(calendars, 2)}" if calendars else ""
    return f"version: 1\ntimezone: UTC\n{head}schedules:\n{''.join(schedules)}"


def undisturbed(kept: KeptEntry) -> Entry:
    """The entry with its change, without what is not its own: a pause, fire times to skip."""
    lying = override_of(kept.overrides, OverrideKind.CHANGE)
    text = laid_over(kept.name, kept.definition, () if lying is None else (lying,))
    return Entry.from_spec(kept.name, json.loads(text))


def _left(now: Mapping[str, Any], keys: Mapping[str, object]) -> dict[str, Any]:
    """What is left of the keys of now, when these are said."""
    left = dict(now)
    if any(name in keys for name in WHEN):
        left = {name: value for name, value in left.items() if name not in {*WHEN, *_WHEN_DETAILS}}
    if "signature" in keys or any(name in keys for name in WHAT):
        was_task = "task" in now
        left = {name: value for name, value in left.items() if name not in WHAT}
        if "task" not in keys or not was_task:
            left = {name: value for name, value in left.items() if name not in _WORK_DETAILS}
    if isinstance(keys.get("options"), Mapping):
        left.pop("options", None)
    return left


def difference(before: Entry, after: Entry) -> dict[str, Any]:
    """The keys of `Entry.to_spec` that make `after` of `before`; for `order.Change`."""
    old, new = json.loads(spec_text(before)), json.loads(spec_text(after))
    names = sorted((old.keys() | new.keys()) & CHANGEABLE)
    # a value may be null, which is not what a key means that is left out
    said = {name: (old.get(name, _default(name)), new.get(name, _default(name))) for name in names}
    return {name: now for name, (was, now) in said.items() if was != now}


def _default(name: str) -> Any:
    """What a key that a spec leaves out means; the same in every entry."""
    default = Entry.__dataclass_fields__[name].default
    value = getattr(default, "value", default)
    return list(value) if isinstance(value, tuple) else value


def _read(name: str, keys: Mapping[str, Any], calendars: Mapping[str, object] | None) -> Entry:
    head = f"calendars:\n{mapping_text(calendars, 2)}" if calendars else ""
    text = f"{head}schedules:\n{mapping_text({name: keys}, 2)}"
    (entry,) = _checked(parse(text, PLACE, {}), rendered=False).entries
    return replace(entry, owner=Owner.DB, source="")


def _checked(loaded: Loaded, *, rendered: bool = True) -> Loaded:
    errors = [problem for problem in loaded.problems if problem.severity is Severity.ERROR]
    if not errors:
        return loaded
    if rendered:
        raise ScheduleError("\n".join(problem.render() for problem in errors))
    first = errors[0]
    raise ScheduleError(f"{first.code}: {first.message}", help=first.help)


def _plain(value: object, name: str) -> Any:
    """A value as YAML has it."""
    match value:
        case datetime():
            if value.utcoffset() is None:
                raise ScheduleError(
                    f'{name} "{value}" has no time zone', help="datetime(2026, 1, 1, tzinfo=UTC)"
                )
            return value.isoformat()
        case timedelta():
            return length_text(value // timedelta(microseconds=1))
        case tzinfo():
            return zone_name(value)
        case Mapping():
            return {str(key_): _plain(each, name) for key_, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each, name) for each in value]
        case str() | int() | float() | None:
            return value
        case _:
            raise ScheduleError(
                f"{name}: a {type(value).__name__} cannot be stored", help="text, numbers, lists, mappings"
            )


def _json(signature: Any) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(signature))
    except (TypeError, ValueError) as error:
        raise ScheduleError(
            f"the signature cannot be stored: {error}", help="arguments that JSON can hold"
        ) from error
    return plain
