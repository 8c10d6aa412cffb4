"""Runs: the list of what became of tasks, newest first, narrowed by what stands in the URL, and paged by key."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from ...errors import ScheduleError
from ...history.history import MOST_COUNTED
from ...history.search import Key, Search
from ...history.task_run import STATES
from ...view import us_of
from ..page import Page, Question
from ..run_line import RunLine, line_of
from ..site import Site

AT_ONCE = 50
FIELDS = ("schedule", "task", "state", "worker", "queue", "root", "id", "text", "since", "until")


class RunsView(Struct, frozen=True, kw_only=True):
    """`fields` are those of the search, as they stand in the URL; `after` is the key from which the next page goes on, "" on the last one."""

    runs: list[RunLine]
    fields: dict[str, list[str]]
    states: list[str]
    number: int
    is_more: bool
    after: str


def runs_page() -> Page:
    """The list of runs."""
    return Page(path="/runs", api="/api/v1/runs", title="Runs", place="Runs", template="runs.html", view=runs)


def runs(site: Site, question: Question) -> RunsView:
    """Those that fit. Raises StoreDown, and ScheduleError for a field that says nothing."""
    search = search_of(question)
    text = question.one("after")
    after = Key.parse(text) if text else None
    if text and after is None:
        raise ScheduleError(
            f'after "{text}": it is no place in the list; leave it out to begin with the newest'
        )
    found = site.history.runs(search, AT_ONCE + 1, after)
    shown, number = found[:AT_ONCE], site.history.count(search)
    last = shown[-1] if len(found) > AT_ONCE else None
    return RunsView(
        runs=[line_of(run) for run in shown],
        fields=_fields(question),
        states=[*STATES, *(each for each in search.states if each not in STATES)],
        number=number,
        is_more=number >= MOST_COUNTED,
        after="" if last is None else str(Key(last.at_us, last.id)),
    )


def search_of(question: Question) -> Search:
    """What a URL asks for. Raises ScheduleError for a time that is none."""
    return Search(
        schedule=question.one("schedule"),
        task=question.one("task"),
        states=question.all("state"),
        worker=question.one("worker"),
        queue=question.one("queue"),
        root=question.one("root"),
        id=question.one("id"),
        text=question.one("text"),
        since_us=_time(question, "since"),
        until_us=_time(question, "until"),
    )


def _fields(question: Question) -> dict[str, list[str]]:
    return {name: list(question.all(name)) for name in FIELDS if question.all(name)}


def _time(question: Question, name: str) -> int | None:
    text = question.one(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return us_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise ScheduleError(
            f'{name} "{text}": it is no time; write 2026-03-01T12:00 (UTC), or with a zone 2026-03-01T12:00+01:00'
        ) from error
