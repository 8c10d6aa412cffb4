"""ExpandedFirings: canvases that the beat sets going itself, for a fleet of Celery's workers alone (canvas_wire "celery", decisions B7).

No worker there serves `backbeat.start`, so the canvas is frozen under ids that come from the firing's and sent as all that it starts
with. What ends last has the firing's own id, so the run is over when that has ended. A firing that is sent again sends the same tasks
under the same ids; workers of Celery's run them again. So `at_most_once` is for a canvas that starts with one message alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, Protocol

from msgspec.structs import replace

from ..canvas.commit.base import Commit
from ..canvas.config import Config
from ..canvas.effect import Effect
from ..canvas.errors import BackbeatError, ImproperlyConfigured
from ..canvas.expansion import ended_by_task
from ..canvas.message import iso_of_us
from ..canvas.node import Call, Node, freeze, map_first, root_of
from ..canvas.options import named
from ..canvas.sending import send_each
from ..canvas.start import Start, dated
from ..canvas.trace_context import NO_TRACE
from ..canvas.tracing import is_traced
from ..canvas.wiring import canvas_start, open_client
from .entry import is_canvas
from .firing import Firing, FiringKind
from .firing_trace import trace_of_firing

Refused = tuple[Firing, str]


class Resolver(Protocol):
    """What is needed of an app."""

    conf: Config

    def resolved_from_data(self, signature: Mapping[str, Any]) -> Node:
        """The canvas of a signature in JSON shape, with the defaults of its tasks and of the settings."""
        ...


class ExpandedFirings:
    """Sets them going. `client` opens a way to broker and store, when it is first needed."""

    def __init__(
        self, app: Resolver, client: Callable[[Config], AbstractContextManager[Commit]] | None = None
    ) -> None:
        self._app = app
        self._client = client or (lambda conf: closing(open_client(conf)))

    def takes(self, firing: Firing) -> bool:
        """Whether this is one of them."""
        return self._app.conf.canvas_wire == "celery" and is_canvas(firing.payload)

    def start(self, firings: Sequence[Firing]) -> tuple[list[Firing], list[Refused]]:
        """Send them, durably; and those that cannot be sent, with the reason. Raises Unavailable."""
        starts: list[tuple[Firing, list[Effect]]] = []
        refused: list[Refused] = []
        for firing in firings:
            try:
                starts.append((firing, self._effects(firing)))
            except (BackbeatError, TypeError, ValueError, LookupError) as error:
                refused.append((firing, f"{type(error).__name__}: {error}"))
        if starts:
            with self._client(self._app.conf) as client:
                send_each(client, [effects for _, effects in starts])
        return [firing for firing, _ in starts], refused

    def _effects(self, firing: Firing) -> list[Effect]:
        node = ended_by_task(self._app.resolved_from_data(firing.payload))
        node = freeze(named(node, firing.task_id), firing.task_id)
        if firing.kind is not FiringKind.BACKFILL:
            node = dated(node, firing.due_us)
        node = map_first(node, lambda call: _headed(call, firing))
        trace = trace_of_firing(firing) if is_traced(is_on=bool(self._app.conf.task_traces)) else NO_TRACE
        effects = canvas_start(self._app.conf, Start(node, root_of(node), trace=trace))
        if firing.terms.once and len(effects) > 1:
            raise ImproperlyConfigured(
                'delivery: at_most_once cannot be kept for a group or a chord with canvas_wire = "celery", as it is several messages: '
                "let a task send it, or leave delivery at at_least_once"
            )
        return effects


def _headed(call: Call, firing: Firing) -> Call:
    """With the headers that every firing has."""
    ours = {"periodic_task_name": firing.entry, "fire_time": iso_of_us(firing.due_us)}
    headers = {**(call.options.get("headers") or {}), **ours}
    return replace(call, options={**call.options, "headers": headers})
