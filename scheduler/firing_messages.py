"""FiringMessages: firings become messages; most of them by a template, without being encoded one by one.

One firing is one message. A task is sent as itself; a canvas travels whole in the arguments of `backbeat.start`, which every
backbeat worker serves (decisions B7). Each message carries the headers `periodic_task_name` and `fire_time`, and what it starts
carries them too. A relative `expires` counts from the fire time (B10), but for a backfill, which is late on purpose.

Entries that send one task with the same options share a template, whatever their arguments are (canvas/template.py). Whoever is first
goes the long way, through the app; the second makes the template; the others cost a few microseconds. What is kept is bounded:
arguments are encoded for each firing anew, and only canvases are kept as text.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec.structs import replace

from ..canvas.codec import dumps
from ..canvas.config import Config
from ..canvas.errors import BackbeatError
from ..canvas.json_text import EMPTY_LIST, EMPTY_MAP, Json
from ..canvas.mark import is_marked
from ..canvas.message import CONTROL_QUEUE, Message, iso_of_us, message_of
from ..canvas.node import Call, Node
from ..canvas.node_data import node_to_data
from ..canvas.own_tasks import START_TASK
from ..canvas.route import asks
from ..canvas.signing import NO_KEYS, Keyring
from ..canvas.template import Rendered, Sendable, Template, template_of
from ..canvas.tracing import is_traced
from .entry import is_canvas
from .firing import Firing, FiringKind
from .firing_trace import trace_of_firing

NAMES = ("periodic_task_name", "fire_time")
SENTRY_NAMES = ("sentry-monitor-slug", "sentry-monitor-check-in-id", "sentry-monitor-start-timestamp-s")
"""What sentry-sdk's Celery integration looks for in a worker, to check the run in with the monitor."""

Refused = tuple[Firing, str]
_Texts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is kept."""

    templates_bytes: int = 8_000_000
    """About how much templates may take; when it is full all are forgotten."""
    canvases_bytes: int = 8_000_000
    """The same for the texts of canvases."""
    seen: int = 100_000
    """Of how many kinds of messages it is remembered that there was one."""


DEFAULT_BOUNDS = Bounds()


class Resolver(Protocol):
    """What is needed of an app."""

    conf: Config

    def resolved_from_data(self, signature: Mapping[str, Any]) -> Node:
        """The canvas of a signature in JSON shape, with the defaults of its tasks and of the settings."""
        ...


class FiringMessages:
    """Makes them. The settings and tasks of the app are taken as they are when a kind of message is first seen."""

    def __init__(self, app: Resolver, keyring: Keyring = NO_KEYS, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self._app = app
        self._bounds = bounds
        self._keyring = keyring
        self._templates: dict[Any, tuple[Template | None, int]] = {}
        self._templates_bytes = 0
        self._seen: set[int] = set()
        self._canvases: dict[int, tuple[Mapping[str, Any], Json]] = {}
        self._canvases_bytes = 0
        self._argument_bytes = 0
        self._is_asked = False
        """Whether a router looks at each call: then what two calls have in common cannot be told."""
        self._dated: tuple[int, str] = (0, iso_of_us(0))

    def warm(self) -> None:
        """Load what the first message would have to wait for."""
        dumps(b"")

    def of(self, firings: Sequence[Firing]) -> tuple[list[Sendable], list[Refused]]:
        """The messages of firings, and those that cannot be one, with the reason: they must not hold up the others."""
        made: list[Sendable] = []
        refused: list[Refused] = []
        self._argument_bytes = self._app.conf.task_max_argument_bytes
        self._is_asked = asks(self._app.conf.task_routes)
        conf = self._app.conf
        sentry, traced = bool(conf.beat_sentry_monitors), is_traced(is_on=bool(conf.task_traces))
        for firing in firings:
            names: _Texts = NAMES
            headers: _Texts = (firing.entry, self._iso(firing.due_us))
            try:
                if sentry:
                    names, headers = names + SENTRY_NAMES, headers + _sentry_headers(firing)
                if traced:
                    trace = trace_of_firing(firing)
                    names, headers = names + tuple(trace), headers + tuple(trace.values())
                made.append(self._sendable(firing, names, headers))
            except (BackbeatError, TypeError, ValueError, LookupError) as error:
                refused.append((firing, f"{type(error).__name__}: {error}"))
        return made, refused

    def _sendable(self, firing: Firing, names: _Texts, headers: _Texts) -> Sendable:
        payload = firing.payload
        key = None if self._is_asked and not is_canvas(payload) else _kind_of(firing, names)
        template, expires_us = self._templates.get(key, (None, 0)) if key is not None else (None, 0)
        if template is None:
            return self._learn(firing, key, names, headers)
        dated_us = firing.due_us + expires_us if template.dated else None
        if is_canvas(payload):
            return Rendered(template, firing.task_id, self._canvas(payload), EMPTY_MAP, headers, dated_us)
        args, kwargs = (
            _text(payload.get("args"), list, EMPTY_LIST),
            _text(payload.get("kwargs"), dict, EMPTY_MAP),
        )
        if len(args) + len(kwargs) > self._argument_bytes or is_marked(args) or is_marked(kwargs):
            # it says what is wrong; or writes a map that only looks like a marked value
            return _dated(self._message(firing, names, headers), firing)
        return Rendered(template, firing.task_id, args, kwargs, headers, dated_us)

    def _iso(self, due_us: int) -> str:
        if due_us != self._dated[0]:
            self._dated = (due_us, iso_of_us(due_us))
        return self._dated[1]

    # --- the long way --------------------------------------------------------------------------------------------------------

    def _learn(self, firing: Firing, key: Any, names: _Texts, headers: _Texts) -> Message:
        """The message of a firing; and the template of its kind, if this is the second of it."""
        undated = self._message(firing, names, headers)
        message = _dated(undated, firing)
        if key is None or key in self._templates:
            return message
        if (mark := hash(key)) not in self._seen:
            if len(self._seen) >= self._bounds.seen:
                self._seen.clear()
            self._seen.add(mark)
            return message
        if message.task == START_TASK and not is_canvas(firing.payload):
            return message  # its arguments are more than the payload's
        template = template_of(message, names, dated=undated.expires_after is not None, keyring=self._keyring)
        size = template.bytes if template is not None else len(repr(key))
        self._templates_bytes += size
        if self._templates_bytes > self._bounds.templates_bytes:
            self._templates.clear()
            self._templates_bytes = size
        self._templates[key] = (template, round((undated.expires_after or 0) * 1_000_000))
        return message

    def _message(self, firing: Firing, names: _Texts, headers: _Texts) -> Message:
        ours: dict[str, Any] = dict(zip(names, headers, strict=True))
        if firing.terms.once:
            ours["delivery"] = "at_most_once"  # so that a worker may ack it before it runs
        if not is_canvas(firing.payload):
            node = self._app.resolved_from_data(firing.payload)
            assert isinstance(node, Call)
            if node.options.get("copies"):
                # one firing is one message: the worker that starts it sends it to each of its queues
                data = node_to_data(node, json.loads)
                return _starting(firing, Json(json.dumps([data])), ours)
            call = replace(node, id=firing.task_id)
            message = message_of(call, args=call.args, then=None, root_id=firing.task_id, parent_id=None)
            return replace(message, headers={**message.headers, **ours})
        return _starting(firing, self._canvas(firing.payload), ours)

    def _canvas(self, payload: Mapping[str, Any]) -> Json:
        """The arguments of `backbeat.start`. They are kept for as long as there is room, with the payload that they are of."""
        kept = self._canvases.get(id(payload))
        if kept is not None and kept[0] is payload:
            return kept[1]
        text = Json(json.dumps([node_to_data(self._app.resolved_from_data(payload), json.loads)]))
        self._canvases_bytes += len(text)
        if self._canvases_bytes > self._bounds.canvases_bytes:
            self._canvases.clear()
            self._canvases_bytes = len(text)
        self._canvases[id(payload)] = (payload, text)
        return text


def _starting(firing: Firing, args: Json, headers: dict[str, Any]) -> Message:
    return Message(
        id=firing.task_id,
        task=START_TASK,
        args=args,
        root_id=firing.task_id,
        queue=CONTROL_QUEUE,
        headers=headers,
        expires_after=_expiry(firing.payload),
    )


def _kind_of(firing: Firing, names: _Texts) -> Any:
    """What the messages of one template have in common: all but the arguments; None where that cannot be compared."""
    payload = firing.payload
    late = firing.kind is FiringKind.BACKFILL
    if is_canvas(payload):
        return (_expiry(payload), firing.terms.once, late, names)
    options = payload.get("options")
    try:
        # version 2: equal values give equal bytes
        return (
            payload["task"],
            marshal.dumps(options, 2) if options else b"",
            firing.terms.once,
            late,
            names,
        )
    except (KeyError, ValueError):
        return None


def _expiry(payload: Mapping[str, Any]) -> float | None:
    """Seconds after which a canvas is not worth being started; None for no such bound. What is a moment binds its first tasks alone."""
    expires = (payload.get("options") or {}).get("expires")
    return float(expires) if isinstance(expires, int | float) and not isinstance(expires, bool) else None


def _sentry_headers(firing: Firing) -> _Texts:
    """Slug, check-in and start: the check-in's id is the firing's, so that a second copy is the same check-in."""
    return (firing.entry, firing.task_id.replace("-", ""), f"{firing.due_us / 1_000_000:.9f}")


def _encoder() -> Callable[[Any], str]:
    """JSON as the codec writes it, without its extension types. The encoder in C is made once: json makes it anew for each text."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(separators=(",", ":")).encode
    pieces = make(None, _refuse, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    return lambda value: "".join(pieces(value, 0))


def _refuse(value: object) -> None:
    raise TypeError(f"{type(value).__name__} is none of JSON's types")


_encode = _encoder()


def _text(value: Any, kind: type[list[Any] | dict[str, Any]], empty: Json) -> Json:
    """Arguments as the codec writes them."""
    if not value:
        return empty
    plain = value if type(value) is kind else kind(value)
    try:
        return Json(_encode(plain))
    except (TypeError, ValueError, RecursionError):
        return dumps(plain)


def _dated(message: Message, firing: Firing) -> Message:
    """A relative expiry counts from the fire time, so that an outage does not keep a stale firing alive."""
    if message.expires_after is None or firing.kind is FiringKind.BACKFILL:
        return message
    expires_us = firing.due_us + round(message.expires_after * 1_000_000)
    return replace(message, expires_us=expires_us, expires_after=None)
