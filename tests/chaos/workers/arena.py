"""Arena: a broker and a store of the run's own, for workers; the broker may be restarted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from support import servers
from support.stacks import Stack

from ..own_server import RABBITMQ_PROGRAM, SQL, OwnServer
from . import tasks

STACKS = ("redis", "rabbitmq+postgres", "postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """`broker` is None where it is shared with others, and so is not ours to restart."""

    stack: Stack
    broker: OwnServer | None


@contextmanager
def open_arena(name: str) -> Iterator[Arena]:
    """Start what a stack needs ("broker" or "broker+store"); all of it ends with the block."""
    with ExitStack() as lent:
        opened = [_open(kind, lent) for kind in name.split("+")]
        urls = [url for url, _ in opened]
        stack = Stack(name, urls[0], urls[-1], tasks.NAME)
        lent.callback(stack.app.close)
        yield Arena(stack=stack, broker=opened[0][1])


def _open(kind: str, lent: ExitStack) -> tuple[str, OwnServer | None]:
    if kind == "rabbitmq" and not RABBITMQ_PROGRAM.exists():
        return lent.enter_context(servers.own_vhost()), None
    server = OwnServer(kind)
    lent.callback(server.close)
    return server.create_database("chaos") if kind in SQL else server.url(), server
