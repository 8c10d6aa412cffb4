"""`backbeat status`: who leads, what is there, what answers."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click

from ...canvas.cli import Options, banner
from ...canvas.url_text import without_password

NEXT = 3
ANSWER_SECONDS = 1.0


@click.command()
@click.pass_obj
def status(options: Options) -> None:
    """Show who leads, how many schedules the store holds, what comes next, which workers are there, and whether broker and store answer."""
    from ...canvas.holder import Holder
    from ...canvas.places import broker_url
    from ...canvas.wiring import open_broker, open_client
    from ..store.base import StoreRefused
    from ..store.store_reader import StoreReader, open_reading
    from ..wiring import store_url

    if options.store and not options.app and not options.broker:  # the store alone needs no app
        broker_at, url, workers = None, options.store, None
    else:
        app = options.load_app()
        with closing(open_broker(app.conf)) as broker:
            broker.wait(0)
        with closing(open_client(app.conf)) as client:
            client.load(chains=[""])
        broker_at, url = without_password(broker_url(app.conf)), store_url(app, options.store)
        workers = workers_of(app)
    engine = open_reading(url)
    if engine is None:
        raise StoreRefused("nobody else can read a memory store")
    with closing(StoreReader(engine)) as reader:
        lease, counts, upcoming = reader.lease(), reader.counts(), reader.upcoming(NEXT)
    holder = Holder.parse(lease.holder)
    data = {
        "broker": broker_at,
        "store": without_password(url),
        "leader": f"{holder.host}, pid {holder.pid}" if holder else None,
        "epoch": lease.epoch,
        "schedules": counts.entries,
        "enabled": counts.upcoming,
        "open": counts.open_firings,
        "workers": workers,
        "next": [{"schedule": each.entry, "fire_time": _iso(each.next_us)} for each in upcoming],
    }
    shown = {name: str(value) for name, value in data.items()}
    shown["broker"] = broker_at or "not asked: name an app with -A, or a broker with -b"
    shown["workers"] = workers_text(workers)
    shown["leader"] = f"{holder.host}, pid {holder.pid}" if holder else "nobody"
    shown["next"] = ", ".join(f"{_iso(each.next_us)} {each.entry}" for each in upcoming) or "nothing"
    options.show(data, banner("backbeat status", shown))


def workers_of(app: Any) -> list[str] | None:
    """The names of the workers that answer within a second; None where the broker carries no questions to them."""
    from ...canvas.control import request_to
    from ...canvas.remote.wiring import carries

    if not carries(app.conf):
        return None
    asked = request_to("ping", {}, None, wants_reply=True)
    return sorted(node for node, _ in app.control.ask(asked, ANSWER_SECONDS))


def workers_text(workers: list[str] | None) -> str:
    """The same for people."""
    if workers is None:
        return "not asked: the broker carries no questions to them"
    return ", ".join(workers) or "none answered"


def _iso(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).isoformat()
