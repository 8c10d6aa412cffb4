"""`backbeat list queues` and `backbeat purge`: what waits, and having nothing wait any more."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import click

from .cli import Options
from .cli import names as names_of_option


@click.group(name="list")
def listing() -> None:
    """List what there is: `backbeat list queues`."""


@listing.command()
@click.option(
    "-Q", "--queues", "asked", callback=names_of_option, help="These, besides those that the app knows."
)
@click.pass_obj
def queues(options: Options, asked: Sequence[str]) -> None:
    """List the queues of the app and of the workers that run, with how many messages wait in each."""
    from .wiring import open_client

    app = options.load_app()
    served = _served(app)
    names = sorted({*_of(app), *asked, *(queue for each in served.values() for queue in each)})
    with closing(open_client(app.conf)) as client:
        counts = client.counts(names)
    data: list[dict[str, Any]] = [
        {
            "name": name,
            "messages": counts.get(name),
            "workers": sorted(node for node, each in served.items() if name in each),
        }
        for name in names
    ]
    width = max(map(len, names))
    lines = [
        f"{each['name']:<{width}}  {'not there' if each['messages'] is None else each['messages']:>9}  {', '.join(each['workers'])}"
        for each in data
    ]
    options.show(data, "\n".join(lines).rstrip())


def _served(app: Any) -> dict[str, list[str]]:
    """The queues that workers which answer say they serve, by their names."""
    from .remote.wiring import carries

    if not carries(app.conf):
        return {}
    answers = app.control.inspect().active_queues() or {}
    return {
        node: [queue["name"] for queue in found] for node, found in answers.items() if isinstance(found, list)
    }


def _of(app: Any) -> list[str]:
    from .queue_table import queue_table

    return [queue.name for queue in queue_table(app.conf)]


@click.command()
@click.option("-f", "--force", is_flag=True, help="Do not ask first.")
@click.option(
    "-Q", "--queues", callback=names_of_option, help="These; default: those that the app's workers serve."
)
@click.option("-X", "--exclude-queues", callback=names_of_option, help="But not these.")
@click.pass_obj
def purge(options: Options, force: bool, queues: Sequence[str], exclude_queues: Sequence[str]) -> None:
    """Revoke all messages that wait in queues; what depends on them is settled. What waits for its time, and what runs, stays."""
    from .message import CONTROL_QUEUE
    from .worker.wiring import WorkerOptions, purged, queues_of

    app = options.load_app()
    chosen = WorkerOptions(queues=queues, excluded=exclude_queues)
    names = [name for name in queues_of(app, chosen) if name != CONTROL_QUEUE]
    if not force:
        click.confirm(
            f"Revoke all messages that wait in {', '.join(names)}? There is no undo", abort=True, err=True
        )
    told = 0

    def tell(count: int) -> None:
        nonlocal told
        if not options.quiet and count - told >= TOLD_EVERY:
            told = count
            click.echo(f"{count:,} so far", err=True)

    count = purged(app, chosen, tell)
    options.show({"purged": count, "queues": names}, f"Purged {count:,} messages from {', '.join(names)}.")


TOLD_EVERY = 10_000
"""After so many messages a word is said."""
