"""CanvasSender: sends the canvases of one app: to the broker at once, or with the transaction that is open.

It is given canvases that are frozen: with all their options and ids. What a canvas looks like on the wire is for flow.py and the
implementations of Commit; how a transaction takes it is for commit/session.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from . import signals
from .config import Config
from .connections import Connections
from .effect import Effect
from .errors import ImproperlyConfigured, UniqueConflict
from .node import Node, first_calls, root_of
from .options import named, replying
from .places import uses_rpc
from .publish_signals import about_to_publish, published
from .request import running_request
from .sending import send, send_each, send_unique
from .start import Start
from .streaming import Stream, Streamed, send_stream
from .trace_context import NO_TRACE, Trace, trace_of
from .tracing import publishing
from .transaction import Transactions
from .unique import Conflict
from .unique_call import UniqueCall
from .wiring import canvas_start, open_session_sender, reply_queue, send_stored

if TYPE_CHECKING:
    from .events.sent import SentEvents


class CanvasSender:
    """`transactions` are those of the app's users."""

    def __init__(self, conf: Config, connections: Connections) -> None:
        self._conf = conf
        self._connections = connections
        self.transactions = Transactions(
            lambda: open_session_sender(conf, self._set_going, self._send_stored)
        )
        self._sent_events: SentEvents | None = None

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
        root, parent = self._above(node)
        with self._publishing(node, root := root or root_of(node)) as trace:
            start = Start(node, root, parent, trace)
            holder = self._brought(start, asked, self.transactions.current(session))
        if asked is None or holder is None:
            return node
        if asked.conflict is Conflict.RAISE:
            raise UniqueConflict(asked.unique.key, holder)
        return named(node, holder)

    def may_stream(self, session: Any) -> bool:
        """Whether members can be sent before the last of them is known: not in a transaction, nor where each needs a place to reply to."""
        return self.transactions.current(session) is None and not uses_rpc(self._conf)

    def stream(self, canvas: Node, members: Iterator[Node]) -> Streamed:
        """Send a frozen canvas that begins with a group without members, and these as its members, as they come."""
        root, parent = self._above(canvas)
        with (
            self._publishing(canvas, root := root or root_of(canvas)) as trace,
            self._connections.client() as client,
        ):
            return send_stream(client, Stream(canvas, members, root, parent, trace))

    def close(self) -> None:
        """Let go of what sends in transactions; it is made again when it is needed."""
        self.transactions.close()
        if self._sent_events is not None:
            self._sent_events.close()

    @staticmethod
    def _above(node: Node) -> tuple[str | None, str | None]:
        """What the canvas says of its root and its parent; else the root and the id of the task that sends, if one does."""
        request = running_request()
        root, parent = (request.root_id, request.id) if request is not None else (None, None)
        first = next(first_calls(node), None)
        own = {} if first is None else first.options
        return own.get("root_id") or root, own.get("parent_id") or parent

    def _publishing(self, node: Node, root_id: str) -> AbstractContextManager[Trace]:
        """The span of this sending; without one the canvas is of the trace of the task that sends it, if one does."""
        request = running_request()
        passed_on = NO_TRACE if request is None else trace_of(request.headers)
        return publishing(node, root_id, passed_on, is_on=bool(self._conf.task_traces))

    def _brought(self, start: Start, asked: UniqueCall | None, session: Any) -> str | None:
        """The id of the task that has the key, if nothing was sent."""
        effects = self._effects(start)
        if signals.before_task_publish.receivers:
            effects = about_to_publish(effects)
        unique = asked.unique if asked is not None else None
        if session is not None:
            return self.transactions.send(session, start, effects, unique)
        with self._connections.client() as client:
            holder = None
            if unique is not None:
                holder = send_unique(client, effects, unique)
            else:
                send(client, effects)
        if holder is None:
            self._tell(effects)
        return holder

    def _tell(self, effects: Sequence[Effect]) -> None:
        """That these were sent, to who wants to know."""
        if signals.after_task_publish.receivers:
            published(effects)
        if self._conf.task_send_sent_event:
            self._events().tell(effects)

    def _events(self) -> SentEvents:
        from .events.sent import SentEvents  # a program that tells nothing does not pay for it
        from .remote.wiring import open_event_sink

        if self._sent_events is None:
            self._sent_events = SentEvents(lambda: open_event_sink(self._conf))
        return self._sent_events

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
        return canvas_start(self._conf, start)
