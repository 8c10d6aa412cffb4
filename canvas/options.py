"""Options: what `apply_async` takes, checked and laid onto the calls of a canvas.

Positional arguments, keyword arguments and most options go to what starts first; `task_id` and `link` belong to what ends last;
`link_error` to every step but the members of a chord's header: these fail through its body, which calls it once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from .address import unaddressed
from .argument_fault import named_fault
from .codec import dumps, loads
from .errors import EncodeError, ImproperlyConfigured
from .header import check_headers
from .json_text import EMPTY_LIST, Json
from .message import us_of_iso
from .node import Call, Chain, Group, Node, Tap, untapped
from .retrying import count_of
from .stamp import STAMPED, overlaid, stamps_in
from .unique import NAMES, checked_unique
from .value import LARGEST_COUNT, LIMIT, SECONDS, Bound, Read, flag, identity, key, label, mapping, number_of
from .wire import OWN_HEADERS

KNOWN = frozenset(
    "add_to_parent argsrepr chord compression connection countdown delivery_mode errback eta exchange expires group_id "
    "group_index headers ignore_result kwargsrepr link link_error max_retries parent_id priority producer queue reply_to "
    "retries retry retry_policy root_id router routing_key serializer shadow soft_time_limit stamped_headers task_id "
    "task_type time_limit interval".split()
).union(NAMES)
OBJECTS = frozenset({"connection", "errback", "producer", "router"})
"""Options of Celery's that are objects of the sending process and have no meaning here: no message could carry them."""


class Given(Struct, frozen=True, kw_only=True):
    """What one `apply_async` call was given, besides the canvas itself."""

    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    link: tuple[Node, ...] = ()
    link_error: tuple[Node, ...] = ()


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that can be written as JSON. Raises TypeError for an unknown name, ImproperlyConfigured for a wrong value.

    Headers that cannot be written raise EncodeError.
    """
    if not options:
        return {}
    stamps = _stamps(options)
    for name in options:
        if name not in KNOWN and name not in stamps:
            near = difflib.get_close_matches(name, KNOWN, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise TypeError(
                f"apply_async() has no option {name!r}{hint} Values of your own go under headers={{...}}."
            )
    if options.get("chord") is not None:
        raise ImproperlyConfigured(
            "a signature with the option chord is a member of a header: it is sent with the others by chord(header, body)"
        )
    out = {
        name: _READERS[name](name, value) if name in _READERS else value
        for name, value in options.items()
        if value is not None and name not in OBJECTS
    }
    if stamps:
        out |= {**stamps, STAMPED: list(stamps)}
    out.update(checked_unique(out))
    return out


def _stamps(options: Mapping[str, Any]) -> dict[str, Any]:
    names = options.get(STAMPED)
    if names is not None and not (isinstance(names, list | tuple) and all(isinstance(n, str) for n in names)):
        raise ImproperlyConfigured(
            f"stamped_headers must be a list of the names of stamps, found {names!r:.100}"
        )
    stamps = stamps_in(options)
    if lacking := [name for name in names or () if name not in stamps]:
        raise ImproperlyConfigured(
            f"stamped_headers names {lacking[0]!r}, and there is no option of that name: give it a value"
        )
    check_stamp_names(stamps)
    if stamps:
        check_headers(stamps)
    return stamps


def check_stamp_names(stamps: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured for a stamp that is called like an option: the two would lie in the same place."""
    if taken := sorted(KNOWN.intersection(stamps)):
        raise ImproperlyConfigured(
            f"a stamp cannot be called {taken[0]!r}, as an option is: choose another name; what a visitor leaves out of stamped_headers is set as option"
        )


def to_one_queue(options: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Checked options with the queue that they name, by its name or as the routing key of the exchange without a name.

    Raises ImproperlyConfigured for an exchange: `what` goes to one queue.
    """
    out = dict(options)
    routing_key, exchange = out.pop("routing_key", None), out.pop("exchange", None)
    if exchange:
        raise ImproperlyConfigured(
            f"{what} goes to one queue, and not to exchange {exchange!r}: name the queue"
        )
    if routing_key:
        out.setdefault("queue", routing_key)
    return out


def _named_or_text(read: Read) -> Read:
    """A name, or an object of kombu's that has one."""
    return lambda name, value: read(name, getattr(value, "alias", None) or getattr(value, "name", value))


def _headers(name: str, value: Any) -> dict[str, Any]:
    headers = dict(mapping(name, value))
    if taken := sorted(OWN_HEADERS.intersection(headers)):
        raise ImproperlyConfigured(
            f"headers cannot have {taken[0]!r}: messages have a header of that name already; choose another one"
        )
    check_headers(headers)
    return headers


def _seconds(name: str, value: Any) -> float:
    seconds = number_of(value)
    if seconds is None:
        raise ImproperlyConfigured(f"{name} must be seconds, found {value!r:.100}")
    if not SECONDS.holds(abs(seconds)):
        raise ImproperlyConfigured(f"{name} must be seconds, at most a century, found {value!r:.100}")
    return float(seconds)


def _moment(name: str, value: Any) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ImproperlyConfigured(
                f"{name} {value.isoformat()} has no time zone; write datetime.now(UTC) + timedelta(...)"
            )
        return value.astimezone(UTC).isoformat()
    try:
        us_of_iso(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImproperlyConfigured(
            f"{name} must be an aware datetime or an ISO 8601 text, found {value!r}"
        ) from error
    return str(value)


def _expiry(name: str, value: Any) -> float | str:
    return _moment(name, value) if number_of(value) is None else _seconds(name, value)


def _count_of_retries(name: str, value: Any) -> Any:
    if (count := count_of(value)) is None:
        raise ImproperlyConfigured(f"{name} must be a whole number from 0 on, found {value!r:.100}")
    return count


def _serializer(name: str, value: Any) -> Any:
    if value != "json":
        raise ImproperlyConfigured(
            f"{name} {value!r:.80} is not supported by this version: messages are JSON"
        )
    return value


_INDEX = Bound(highest=LARGEST_COUNT, whole=True)
_READERS: dict[str, Read] = {
    "countdown": _seconds,
    "eta": _moment,
    "exchange": _named_or_text(label),
    "expires": _expiry,
    "group_id": identity,
    "group_index": _INDEX,
    "headers": _headers,
    "ignore_result": flag,
    "max_retries": _count_of_retries,
    "parent_id": identity,
    "priority": Bound(highest=255, whole=True),
    "queue": _named_or_text(key),
    "reply_to": label,
    "retries": _INDEX,
    "root_id": identity,
    "routing_key": label,
    "serializer": _serializer,
    "shadow": label,
    "soft_time_limit": LIMIT,
    "task_id": identity,
    "time_limit": LIMIT,
}
"""All that a message carries: a worker would refuse one of which a field is not what it says (`message.checked`)."""


def laid_on(node: Node, given: Given) -> Node:
    """The canvas with `given` laid onto it; ids are given by `freeze` later."""
    if given.args or given.kwargs or given.options:
        node = _on_first(node, given)
    if given.link:
        node = _on_last(node, given.link)
    if given.link_error:
        node = _on_steps(node, given.link_error)
    return node


def _on_first(node: Node, given: Given) -> Node:
    match node:
        case Call():
            options = node.options
            if given.options:
                options = overlaid(unaddressed(options, given.options), given.options)
            if node.immutable:
                return replace(node, options=options)
            try:
                kwargs = dumps({**loads(node.kwargs), **given.kwargs}) if given.kwargs else node.kwargs
                return replace(node, args=_in_front(given.args, node.args), kwargs=kwargs, options=options)
            except EncodeError as error:
                raise named_fault(node.task, given.args, given.kwargs, error) from error
        case Chain():
            if isinstance(node.steps[0], Group):
                given = _without_polling(given)
            return replace(node, steps=(_on_first(node.steps[0], given), *node.steps[1:]))
        case Group():
            return replace(node, members=tuple(_on_first(member, given) for member in node.members))
        case Tap():
            return node


def _without_polling(given: Given) -> Given:
    """Of a chord `interval` and `max_retries` say how Celery polls for its members; nothing is polled for here."""
    kept = {name: value for name, value in given.options.items() if name not in ("interval", "max_retries")}
    return replace(given, options=kept)


def _in_front(values: Sequence[Any], args: Json) -> Json:
    front = dumps(list(values)) if values else EMPTY_LIST
    if EMPTY_LIST in (front, args):
        return args if front == EMPTY_LIST else front
    return Json(f"{front[:-1]},{args[1:]}")


def _on_last(node: Node, links: tuple[Node, ...]) -> Node:
    match node:
        case Call():
            return replace(node, link=_added(node.link, links))
        case Chain():
            steps = untapped(node.steps)
            return replace(node, steps=(*steps[:-1], _on_last(steps[-1], links), *node.steps[len(steps) :]))
        case Group() | Tap():
            raise TypeError(
                "a group has no single end to link to: use chord(group, callback), or link each member"
            )


def _on_steps(node: Node, errbacks: tuple[Node, ...]) -> Node:
    match node:
        case Call():
            return replace(node, link_error=_added(node.link_error, errbacks))
        case Group():
            return replace(node, members=tuple(_on_steps(member, errbacks) for member in node.members))
        case Chain():
            last = len(untapped(node.steps)) - 1
            return replace(
                node,
                steps=tuple(
                    step if isinstance(step, Group) and index < last else _on_steps(step, errbacks)
                    for index, step in enumerate(node.steps)
                ),
            )
        case Tap():
            return node


def _added(links: tuple[Node, ...], more: tuple[Node, ...]) -> tuple[Node, ...]:
    return (*links, *(link for link in more if link not in links))


def map_calls(node: Node, change: Callable[[Call], Call]) -> Node:
    """The canvas with `change` applied to each call of it, and of what its taps call; links and error callbacks stay as they are."""
    match node:
        case Call():
            return change(node)
        case Tap():
            return node.changed(lambda callback: map_calls(callback, change))
        case Chain():
            return replace(node, steps=tuple(map_calls(step, change) for step in node.steps))
        case Group():
            return replace(node, members=tuple(map_calls(member, change) for member in node.members))


def replying(node: Node, queue: Callable[[str], str]) -> Node:
    """The canvas with the queue that its results go to on each call whose result is wanted, callbacks too; `queue` is asked for its id."""

    def change(call: Call) -> Call:
        options = dict(call.options)
        if not options.get("ignore_result") and not options.get("reply_to"):
            options["reply_to"] = queue(call.id)
        links = tuple(replying(link, queue) for link in call.link)
        errbacks = tuple(replying(errback, queue) for errback in call.link_error)
        return replace(call, options=options, link=links, link_error=errbacks)

    return map_calls(node, change)


def named(node: Node, id_: str | None) -> Node:
    """The canvas with `id_` as the id of its value: of the task, the last step, or the group."""
    if not id_:
        return node
    match node:
        case Call() | Group():
            return replace(node, id=id_)
        case Chain():
            steps = untapped(node.steps)
            return replace(node, steps=(*steps[:-1], named(steps[-1], id_), *node.steps[len(steps) :]))
        case Tap():
            return node
