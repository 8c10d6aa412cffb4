"""The group `backbeat runs`, and what its commands share: which runs are meant, and where they are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ....canvas.cli import Options

if TYPE_CHECKING:
    from ....canvas.app import App
    from ...history.history import SqlHistory
    from ...history.search import Search
    from ...history.task_run import TaskRun

F = TypeVar("F", bound=Callable[..., Any])

COMMANDS = {"list": "looking", "retry": "acting", "revoke": "acting", "show": "looking", "tail": "tail"}
"""Each command's name, and the module that has it, under that name with an underscore."""


class RunsGroup(click.Group):
    """Commands on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f".{COMMANDS[cmd_name]}", __package__), f"{cmd_name}_")
        assert isinstance(command, click.Command)
        return command


@click.group(cls=RunsGroup)
def runs() -> None:
    """What became of tasks: the history that `beat --record` or `dev` keeps in the store, of workers with -E and without."""


_FILTERS = (
    click.option("--schedule", default="", help="Runs of this schedule."),
    click.option("--task", default="", help="Runs of this task."),
    click.option("--state", "states", multiple=True, help="In this state; several times: in any of them."),
    click.option("--worker", default="", help="By this worker."),
    click.option("--queue", default="", help="Of this queue."),
    click.option("--root", default="", help="Of the canvas with this root."),
    click.option("--id", "id_", default="", help="Ids that begin so."),
    click.option("--text", default="", help="With this in arguments, result or error."),
    click.option("--since", help="First heard of since then: 2026-12-01T03:00, or -2h."),
    click.option("--until", help="First heard of before then."),
)


def filters(command: F) -> F:
    """The options by which runs are chosen; `search_of` reads them."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def search_of(given: dict[str, Any]) -> Search:
    """What the options of `filters` ask for. Raises ScheduleError for a time that is none, UsageError for an unknown state."""
    from datetime import UTC

    from ...history.search import Search
    from ..entries import instant_us

    since, until = given.pop("since"), given.pop("until")
    states = tuple(state.upper() for state in given.pop("states"))
    return Search(
        id=given.pop("id_"),
        states=states,
        since_us=instant_us(since, UTC) if since else None,
        until_us=instant_us(until, UTC) if until else None,
        **given,
    )


@contextmanager
def history_of(options: Options) -> Iterator[SqlHistory]:
    """The history in the store that --store, the app or the broker's address name; closed on leaving."""
    from ...history.wiring import open_history
    from ...store.wiring import open_store

    url = _store(options)
    open_store(url, make=False).close()  # says what is wrong with it
    history = open_history(url)
    try:
        yield history
    finally:
        history.close()


def found(history: SqlHistory, ids: Sequence[str]) -> list[TaskRun]:
    """The runs of these ids, or of these beginnings of ids. Raises ClickException for one that is not there, or not the only one."""
    from ...history.search import Search

    runs = []
    for id_ in ids:
        fits = history.runs(Search(id=id_), 2)
        exact = [run for run in fits if run.id == id_] or fits
        if len(exact) != 1:
            what = "several runs" if exact else "no run"
            raise click.ClickException(f"{what} in the history with an id that begins with {id_!r}")
        runs.append(exact[0])
    return runs


def app_of(options: Options) -> App:
    """The app whose tasks these are."""
    return options.load_app()


def _store(options: Options) -> str:
    import os

    from ...wiring import store_url

    named = options.store or os.environ.get("BACKBEAT_STORE")
    return named or store_url(options.load_app(), None)
