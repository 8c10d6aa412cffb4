"""`runs retry` and `runs revoke`: one run, several, or all that fit, which are counted first."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ....canvas.cli import EXIT_FAILED, Options
from ..opening import actor_option
from .group import app_of, filters, found, history_of, search_of

if TYPE_CHECKING:
    from ...history.history import SqlHistory
    from ...history.task_run import TaskRun

all_option = click.option(
    "--all", "all_", is_flag=True, help="All that fit the options; how many is asked first."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


@click.command("retry")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@all_option
@filters
@click.option("--args", help="Arguments in place of its own, as a JSON list; for one run.")
@click.option("--kwargs", help="Keyword arguments in place of its own, as a JSON object; for one run.")
@yes_option
@actor_option
@click.pass_obj
def retry_(
    options: Options,
    /,
    ids: Sequence[str],
    all_: bool,
    args: str | None,
    kwargs: str | None,
    yes: bool,
    actor: str | None,
    **given: Any,
) -> None:
    """Send tasks again as new ones, with the same arguments, to the same queue.

    A part of a canvas runs by itself then, and nothing follows it: `backbeat canvas retry ID --failed` lets the canvas go on.
    """
    from ...history.orders import Orders, RunRefused

    if (args or kwargs) and (all_ or len(ids) != 1):
        raise click.UsageError("--args and --kwargs are for one run")
    put_args, put_kwargs = _json(args, "--args", list), _json(kwargs, "--kwargs", dict)
    app = app_of(options)
    with history_of(options) as history:
        runs = _chosen(history, ids, all_=all_, given=given, what="Send {} again", yes=yes)
        orders = Orders(app, history, _actor(actor))
        sent, refused = {}, {}
        for run in runs:
            try:
                sent[run.id] = orders.retry(run, put_args, put_kwargs)
            except RunRefused as fault:
                refused[run.id] = str(fault)
    text = "\n".join([f"{old}: sent again as {new}" for old, new in sent.items()] or ["nothing was sent"])
    options.show({"sent": sent, "refused": refused}, text)
    _end(refused)


@click.command("revoke")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@all_option
@filters
@click.option("--terminate", is_flag=True, help="End those that run, too.")
@yes_option
@actor_option
@click.pass_obj
def revoke_(
    options: Options,
    /,
    ids: Sequence[str],
    all_: bool,
    terminate: bool,
    yes: bool,
    actor: str | None,
    **given: Any,
) -> None:
    """Have tasks not start any more. What runs goes on to its end, but with --terminate."""
    from ...history.orders import Orders

    app = app_of(options)
    with history_of(options) as history:
        runs = _chosen(history, ids, all_=all_, given=given, what="Revoke {}", yes=yes)
        open_ones = [run for run in runs if not run.has_ended]
        Orders(app, history, _actor(actor)).revoke(open_ones, terminate=terminate)
    over = {run.id: f"it has ended: {run.state}" for run in runs if run.has_ended}
    options.show({"revoked": [run.id for run in open_ones], "refused": over}, f"{len(open_ones)} revoked")
    _end(over)


def _chosen(
    history: SqlHistory, ids: Sequence[str], *, all_: bool, given: dict[str, Any], what: str, yes: bool
) -> list[TaskRun]:
    from ...history.history import MOST_COUNTED

    if bool(ids) == all_:
        raise click.UsageError("name runs by their ids, or write --all with options that choose some")
    if not all_:
        return found(history, ids)
    search = search_of(given)
    if search.is_all:
        raise click.UsageError("--all needs options that choose: --state FAILURE --since -2h, say")
    count = history.count(search)
    if count >= MOST_COUNTED:
        raise click.UsageError(f"{count:,} runs or more fit: choose fewer, with --since and --until")
    number = f"{count:,} run{'' if count == 1 else 's'}"
    if count and not yes:
        click.confirm(f"{what.format(number)}?", abort=True, err=True)
    return history.runs(search, count) if count else []


def _json(text: str | None, name: str, kind: type) -> Any:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as fault:
        raise click.BadParameter(f"{name} is not JSON: {fault}") from None
    if not isinstance(value, kind):
        raise click.BadParameter(f"{name} must be a JSON {'list' if kind is list else 'object'}")
    return value


def _actor(given: str | None) -> str:
    from ...schedules import default_actor

    return given or default_actor()


def _end(refused: dict[str, str]) -> None:
    for id_, why in refused.items():
        click.echo(f"backbeat: error: {id_}: {why}", err=True)
    if refused:
        sys.exit(EXIT_FAILED)
