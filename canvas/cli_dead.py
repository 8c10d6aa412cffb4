"""`backbeat dead list | show | requeue | drop`: dead letters from the command line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .cli import EXIT_FAILED, Finite, Options
from .message import iso_of_us

if TYPE_CHECKING:
    from .commit.base import DeadLetterCommit
    from .commit.dead_letter import KeptLetter
    from .dead import Reading
    from .signing import Keyring


@click.group()
def dead() -> None:
    """Messages that no worker could run, or that took too many workers with them: kept whole until you decide."""


@dead.command("list")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="How many, newest first."
)
@click.option("--before", default="", help="Those that are older than the letter of this key.")
@click.pass_obj
def list_(options: Options, limit: int, before: str) -> None:
    """List dead letters, the newest first."""
    from .dead import read

    with _opened(options) as commit:
        readings = [read(kept) for kept in commit.dead_letters(limit, before)]
    lines = [
        f"{each.kept.key:>6}  {iso_of_us(each.kept.at_us)[:19]}  {each.message.task if each.message else '-'}"
        f"  {each.kept.letter.task_id or '-'}  {each.queue or '-'}  {each.kept.letter.reason}"
        for each in readings
    ]
    options.show([_data(each) for each in readings], "\n".join(lines) or "no dead letters")


@dead.command()
@click.argument("key")
@click.pass_obj
def show(options: Options, key: str) -> None:
    """Show the dead letter KEY with its whole message."""
    from .dead import read

    with _opened(options) as commit:
        reading = read(_found(commit, key))
    data = {**_data(reading), "raw": reading.kept.letter.raw}
    lines = [
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in data.items()
    ]
    options.show(data, "\n".join(lines))


@dead.command()
@click.argument("keys", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--task", help="Those of this task.")
@click.pass_obj
def requeue(options: Options, keys: Sequence[str], everything: bool, task: str | None) -> None:
    """Send the messages of dead letters KEYS again; what depended on them before has been settled as failed."""
    from .dead import requeue as again

    with _opened(options) as commit:
        done, left = [], []
        chosen = _chosen(commit, keys, everything, task, _keyring(options))
        with options.bar("requeue", len(chosen)) as bar:
            for reading in chosen:
                if reading.message is None or reading.forged:
                    left.append(reading)
                elif again(commit, reading):
                    done.append(reading.kept.key)
                bar.update(1)
    for reading in left:
        why = (
            f"is not to be believed: {reading.forged}"
            if reading.forged
            else f"holds no task message: {reading.fault}"
        )
        click.echo(f"letter {reading.kept.key} {why}", err=True)
    kept = [reading.kept.key for reading in left]
    options.show(
        {"requeued": done, "kept": kept}, f"{len(done)} requeued, {len(kept)} cannot be and are kept"
    )
    if left:
        sys.exit(EXIT_FAILED)


@dead.command()
@click.argument("keys", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--task", help="Those of this task.")
@click.option("--older-than", type=Finite(0), help="Those that are older than so many days.")
@click.pass_obj
def drop(
    options: Options, keys: Sequence[str], everything: bool, task: str | None, older_than: float | None
) -> None:
    """Delete dead letters KEYS for good."""
    from .dead import drop as delete

    with _opened(options) as commit:
        chosen = _chosen(commit, keys, everything or older_than is not None, task)
        limit_us = None if older_than is None else (time.time() - older_than * 86_400) * 1_000_000
        known = [r.kept.key for r in chosen if limit_us is None or r.kept.at_us < limit_us]
        with options.bar("drop", len(known)) as bar:
            dropped = delete(commit, known, bar.update)
    options.show({"dropped": dropped}, f"{dropped} dropped")


def _opened(options: Options) -> Any:
    from contextlib import closing

    from .wiring import open_dead_letters

    return closing(open_dead_letters(options.load_app().conf))


def _keyring(options: Options) -> Keyring:
    from .wiring import keyring_of

    return keyring_of(options.load_app().conf)


def _found(commit: DeadLetterCommit, key: str) -> KeptLetter:
    kept = commit.dead_letter(key)
    if kept is None:
        click.echo(f"backbeat: error: there is no dead letter {key}; see backbeat dead list", err=True)
        sys.exit(EXIT_FAILED)
    return kept


def _chosen(
    commit: DeadLetterCommit,
    keys: Sequence[str],
    everything: bool,
    task: str | None,
    keyring: Keyring | None = None,
) -> list[Reading]:
    from .dead import all_letters, read
    from .signing import NO_KEYS

    keyring = keyring or NO_KEYS
    if keys and (everything or task):
        raise click.UsageError("name letters by their keys, or by --all or --task, not both")
    if keys:
        return [read(_found(commit, key), keyring) for key in keys]
    if not everything and task is None:
        raise click.UsageError(
            "which letters? Write their keys (see backbeat dead list), --all or --task NAME"
        )
    readings = [read(kept, keyring) for kept in all_letters(commit)]
    return [each for each in readings if task is None or (each.message and each.message.task == task)]


def _data(reading: Reading) -> dict[str, Any]:
    kept, message = reading.kept, reading.message
    data: dict[str, Any] = {
        "key": kept.key,
        "at": iso_of_us(kept.at_us),
        "reason": kept.letter.reason,
        "id": kept.letter.task_id,
        "queue": reading.queue,
        "task": message.task if message else None,
    }
    if message is None:
        return {**data, "fault": reading.fault}
    return {
        **data,
        "args": json.loads(message.args),
        "kwargs": json.loads(message.kwargs),
        "attempt": message.attempt,
        "generation": message.generation,
    }
