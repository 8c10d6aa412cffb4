"""`backbeat webhook list | replay`: what somebody outside was told, or is still to be told, of schedules and of how runs ended.

There are two places: the store of the beats has what is told of schedules; the broker's or result backend's store has what workers tell, each a task
of its own, of which those that wait for another try, and those that failed, can be found.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...canvas.cli import EXIT_FAILED, Options
from .table import clock, table

if TYPE_CHECKING:
    from ...canvas.commit.base import DeadLetterCommit
    from ...canvas.dead import Reading
    from ...canvas.message import Message
    from ...canvas.signing import Keyring
    from ..store.deliveries import Deliveries, KeptNotice, NoticeState

STATES = ("waiting", "delivered", "failed")
SCHEDULED = 10_000
"""Messages that wait for their time that are looked through for webhooks, the earliest first."""
_HEADS = ("id", "state", "event", "of", "to", "tries", "at", "reason")


@click.group()
def webhook() -> None:
    """What is told to others of schedules and of how runs ended: seen, and sent again."""


@webhook.command("list")
@click.option("--state", type=click.Choice(STATES), help="Those in this state; default: all.")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, newest first."
)
@click.pass_obj
def list_(options: Options, state: str | None, limit: int) -> None:
    """List webhooks and pings, the newest first.

    Those of schedules in any state, for a week (failed ones for 30 days); of those that workers send the ones that wait for another try or have failed.
    """
    lines: list[dict[str, Any]] = []
    with _deliveries(options) as deliveries:
        if deliveries is not None:
            lines += map(_of_schedule, deliveries.listed(_state(state), limit))
    with _letters(options) as found:
        if found is not None:
            lines += _of_runs(*found, state)
    lines = sorted(lines, key=lambda line: line["at"] or "", reverse=True)[:limit]
    rows = [[str(line[head] if line[head] is not None else "-") for head in _HEADS] for line in lines]
    options.show(lines, table(_HEADS, rows) if rows else "no webhooks")


@webhook.command()
@click.argument("ids", nargs=-1)
@click.option("--failed", is_flag=True, help="All that failed.")
@click.pass_obj
def replay(options: Options, ids: Sequence[str], failed: bool) -> None:
    """Send webhooks IDS again, with the ids that they had, tried anew for a day."""
    if bool(ids) == failed:
        raise click.UsageError("which? Write their ids (see backbeat webhook list), or --failed")
    wanted = None if failed else set(ids)
    done: list[str] = []
    with _deliveries(options) as deliveries:
        if deliveries is not None:
            done += deliveries.replay(wanted, time.time_ns() // 1000)
    with _letters(options) as found:
        if found is not None:
            done += _requeued(*found, wanted)
    options.show({"replayed": done}, "\n".join(done) or "nothing was sent again")
    if missing := sorted((wanted or set()) - set(done)):
        click.echo(f"backbeat: error: there is no webhook {', '.join(missing)} to be sent again", err=True)
        sys.exit(EXIT_FAILED)


# --- of schedules -------------------------------------------------------------------------------------------------------------


@contextmanager
def _deliveries(options: Options) -> Iterator[Deliveries | None]:
    """Those of the store that --store, the app or the broker's address name; None where no beat has made one."""
    from ..store.registry_wiring import deliveries_of
    from ..store.wiring import open_store
    from ..wiring import store_url

    url, of_app = options.store or os.environ.get("BACKBEAT_STORE"), "backbeat"
    if options.app or options.broker or not url:
        app = options.load_app()
        url, of_app = store_url(app, options.store), app.cluster
    file = url.partition("sqlite:///")[2]
    if url.startswith("memory:") or (file and not Path(file).exists()) or not _is_made(url):
        yield None
        return
    with closing(open_store(url, otherwise=of_app, make=False)) as store:
        yield deliveries_of(store)


def _is_made(url: str) -> bool:
    """Whether a beat has made its store there; a broker's database has none until then."""
    from sqlalchemy import MetaData
    from sqlalchemy.exc import SQLAlchemyError

    from ..store.base import StoreDown
    from ..store.engine import open_engine
    from ..store.schema import schema_version
    from ..store.tables import Tables

    engine = open_engine(url)
    try:
        with engine.connect() as conn:
            return schema_version(conn, Tables.on(MetaData())) is not None
    except SQLAlchemyError as cause:
        raise StoreDown(f"the store does not answer: {type(cause).__name__}") from cause
    finally:
        engine.dispose()


def _state(word: str | None) -> NoticeState | None:
    from ..store.deliveries import NoticeState

    return None if word is None else NoticeState[word.upper()]


def _of_schedule(kept: KeptNotice) -> dict[str, Any]:
    from ..store.deliveries import NoticeState

    notice = kept.notice
    return {
        "id": notice.id,
        "state": kept.state.name.lower(),
        "event": notice.event,
        "of": notice.entry,
        "to": _place(notice.url),
        "tries": kept.tries,
        "at": _iso(notice.at_us),
        "next": _iso(kept.next_us) if kept.state is NoticeState.WAITING else None,
        "reason": kept.error or None,
    }


# --- of runs ------------------------------------------------------------------------------------------------------------------


@contextmanager
def _letters(options: Options) -> Iterator[tuple[DeadLetterCommit, Keyring] | None]:
    """Where workers keep theirs; None where no app and no broker is named, or there is no store besides the broker."""
    from ...canvas.places import store_url
    from ...canvas.wiring import keyring_of, open_dead_letters

    if not options.app and not options.broker:
        yield None
        return
    conf = options.load_app().conf
    if store_url(conf) is None:
        yield None
        return
    with closing(open_dead_letters(conf)) as commit:
        yield commit, keyring_of(conf)


def _of_runs(commit: DeadLetterCommit, keyring: Keyring, state: str | None) -> Iterator[dict[str, Any]]:
    if state in (None, "waiting"):
        for each in commit.scheduled(SCHEDULED):
            if _is_ours(each.message):
                yield _of_message(each.message, "waiting", each.message.attempt, next_us=each.due_us)
    if state in (None, "failed"):
        for reading in _failed(commit, keyring):
            assert reading.message is not None
            letter = reading.kept.letter
            yield _of_message(reading.message, "failed", reading.message.attempt + 1, reason=letter.reason)


def _failed(commit: DeadLetterCommit, keyring: Keyring) -> Iterator[Reading]:
    from ...canvas.dead import all_letters, read

    for kept in all_letters(commit):
        reading = read(kept, keyring)
        if reading.message is not None and _is_ours(reading.message):
            yield reading


def _requeued(commit: DeadLetterCommit, keyring: Keyring, wanted: Collection[str] | None) -> list[str]:
    from ...canvas.dead import requeue

    done = []
    for reading in list(_failed(commit, keyring)):
        assert reading.message is not None
        id_ = _id_of(reading.message)
        if (wanted is None or id_ in wanted) and requeue(commit, reading):
            done.append(id_)
    return done


def _is_ours(message: Message) -> bool:
    from ...canvas.webhook.ending_urls import PING_TASK, WEBHOOK_TASK

    return message.task in (WEBHOOK_TASK, PING_TASK)


def _id_of(message: Message) -> str:
    """The id of the delivery that a message is."""
    from ...canvas.webhook.ending_urls import WEBHOOK_TASK, delivery_id

    return delivery_id(message.id, _report(message)) if message.task == WEBHOOK_TASK else message.id


def _report(message: Message) -> Mapping[str, Any]:
    """What it tells of; nothing, if somebody has sent that task by hand and knows better."""
    args = json.loads(message.args)
    return args[0] if args and isinstance(args[0], dict) else {}


def _of_message(
    message: Message, state: str, tries: int, *, next_us: int | None = None, reason: str | None = None
) -> dict[str, Any]:
    from ...canvas.webhook.ending_urls import WEBHOOK_TASK

    report, kwargs = _report(message), json.loads(message.kwargs)
    is_webhook = message.task == WEBHOOK_TASK
    urls = [kwargs.get("url")] if is_webhook else [kwargs.get("done"), kwargs.get("fail")]
    shown = [url for url in urls if isinstance(url, str)]
    return {
        "id": _id_of(message),
        "state": state,
        "event": "done" if is_webhook else "ping",
        "of": f"{report.get('name')}[{report.get('id')}]",
        "to": _place(shown[0]) if shown else None,
        "tries": tries,
        "at": kwargs.get("at"),
        "next": None if next_us is None else _iso(next_us),
        "reason": reason,
    }


def _place(url: str) -> str:
    from ..work_words import place_of

    return place_of(url)


def _iso(us: int) -> str:
    from datetime import UTC

    from ..view import moment

    return clock(moment(us), UTC, parts=True)
