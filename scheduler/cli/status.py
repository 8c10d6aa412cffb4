"""`backbeat status`: who leads, what is there, what answers."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from ...canvas.cli import Options, banner, without_password


@click.command()
@click.pass_obj
def status(options: Options) -> None:
    """Show who leads, how many schedules the store holds, and whether broker and store answer."""
    from ...canvas.holder import Holder
    from ...canvas.wiring import broker_url, open_broker, open_client
    from ..store.base import StoreRefused
    from ..store.wiring import open_store
    from ..wiring import store_url

    app = options.load_app()
    with closing(open_broker(app.conf)) as broker:
        broker.wait(0)
    with closing(open_client(app.conf)) as client:
        client.load(chains=[""])
    url = store_url(app, options.store)
    file = url.partition("sqlite:///")[2]
    if file and not Path(file).exists():
        raise StoreRefused(
            f"there is no store at {file} yet: no beat has run with it. Name it with --store, or start a beat."
        )
    store = open_store(url, cluster=app.cluster)
    try:
        lease, loaded = store.read_lease(), store.load(None)
    finally:
        store.close()
    entries = () if loaded is None else loaded.entries
    holder = Holder.parse(lease.holder)
    enabled = sum(known.entry.enabled for known in entries)
    data = {
        "broker": without_password(broker_url(app.conf)),
        "store": without_password(url),
        "leader": f"{holder.host}, pid {holder.pid}" if holder else None,
        "epoch": lease.epoch,
        "schedules": len(entries),
        "enabled": enabled,
    }
    options.show(data, banner("backbeat status", {name: str(value) for name, value in data.items()}))
