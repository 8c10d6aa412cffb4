"""CanvasSender: sends the canvases of one app: to the broker at once, or with the transaction that is open.

It is given canvases that are frozen: with all their options and ids. What a canvas looks like on the wire is for flow.py and the
implementations of Commit; how a transaction takes it is for commit/session.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .config import Config
from .connections import Connections
from .effect import Effect
from .errors import ImproperlyConfigured, UniqueConflict
from .node import Node, root_of
from .options import named, replying
from .places import uses_rpc
from .request import running_request
from .sending import send, send_each, send_unique
from .start import Start
from .transaction import Transactions
from .unique import Conflict
from .unique_call import UniqueCall
from .wiring import canvas_start, open_session_sender, reply_queue, send_stored


class CanvasSender:
    """`transactions` are those of the app's users."""

    def __init__(self, conf: Config, connections: Connections) -> None:
        self._conf = conf
        self._connections = connections
        self.transactions = Transactions(
            lambda: open_session_sender(conf, self._set_going, self._send_stored)
        )

    def send(self, node: Node, asked: UniqueCall | None, session: Any) -> Node:
        """Send a canvas, in the transaction of `session` or the one that is open; returns what now stands for it.

        That is the canvas itself; but if it asks for a key that another task has, nothing is sent, and it gets the id of that one.
        Raises UniqueConflict if it asks for that.
        """
        if asked is not None and self._conf.canvas_wire == "celery":
            raise ImproperlyConfigured(
                'unique_key cannot be sent with canvas_wire = "celery": Celery\'s workers would never give the key back. Leave it out, '
                'or set canvas_wire = "auto" and run a backbeat worker'
            )
        if uses_rpc(self._conf):
            node = replying(node, lambda id_: reply_queue(self._connections.results, id_))
        request = running_request()
        root, parent = (request.root_id, request.id) if request is not None else (None, None)
        start = Start(node, root or root_of(node), parent)
        holder = self._brought(start, asked, self.transactions.current(session))
        if asked is None or holder is None:
            return node
        if asked.conflict is Conflict.RAISE:
            raise UniqueConflict(asked.unique.key, holder)
        return named(node, holder)

    def close(self) -> None:
        """Let go of what sends in transactions; it is made again when it is needed."""
        self.transactions.close()

    def _brought(self, start: Start, asked: UniqueCall | None, session: Any) -> str | None:
        """The id of the task that has the key, if nothing was sent."""
        effects = self._effects(start)
        unique = asked.unique if asked is not None else None
        if session is not None:
            return self.transactions.send(session, start, effects, unique)
        with self._connections.client() as client:
            if unique is not None:
                return send_unique(client, effects, unique)
            send(client, effects)
        return None

    def _set_going(self, starts: Sequence[Start]) -> None:
        """Send canvases whose ids are known, perhaps not for the first time."""
        effects = [self._effects(start) for start in starts]
        with self._connections.client() as client:
            send_each(client, effects)

    def _send_stored(self) -> None:
        """Send what committed transactions have put into the store's outbox."""
        with self._connections.client() as client:
            send_stored(client)

    def _effects(self, start: Start) -> list[Effect]:
        return canvas_start(self._conf, start.node, start.root_id, start.parent_id)
