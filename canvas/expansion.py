"""Expansion: a frozen canvas in Celery's own terms alone, so that Celery's workers run all of it without us (canvas_wire "celery"). PURE.

Nothing is stored: every message brings along all that follows it, as Celery's clients write it.

* What follows a task is in its `chain`, the last step first; a group with something behind it stands there as a chord.
* Each member of a header brings the chord's body along, and the body in its options `chain` what follows it. How many members there
  are stands in the store before the first is sent (OpenCount); Celery's workers count.
* A member that ends with a group would count as many; so that it is one, Celery's own task `celery.accumulate` hands the list on.

What happens when something fails is Celery's matter then, with the shapes of which Celery leaves the rest pending.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from .continuation import Counted
from .effect import Effect, OpenCount, published
from .errors import ImproperlyConfigured
from .ids import derive
from .json_text import EMPTY_LIST, Json, json_value, prepend
from .mark import plain
from .message import Message, message_of
from .node import Call, Chain, Group, Node, Policy, Tap, callbacks, first_calls, freeze
from .node_data import node_to_data
from .trace_context import NO_TRACE, Trace

ACCUMULATE_TASK = "celery.accumulate"
"""Of Celery's, which every worker has: with `index` it returns that one of its arguments."""
_OURS = frozenset(
    [
        "copies",
        "errback",
        "first_queue",
        "first_attempt",
        "max_retries",
        "origin",
        "replaced_task_nesting",
        "retries",
    ]
)
"""Options that mean nothing to Celery's workers."""

Steps = tuple[Node, ...]
Data = dict[str, Any]


def expanded(
    node: Node, root_id: str, parent_id: str | None, *, counts: bool, trace: Trace = NO_TRACE
) -> list[Effect]:
    """Effects that send the frozen canvas `node`. `counts`: results are in Redis, where Celery's workers count the parts of chords.

    Raises ImproperlyConfigured for what Celery's workers cannot do.
    """
    check(node)
    sender = _Sender(root_id, parent_id, trace)
    effects = list(sender.sent(_steps(node), None))
    if not counts and _has_chord(node):
        raise ImproperlyConfigured(
            'with canvas_wire = "celery" a chord, or a group with something behind it, needs results in Redis, where Celery\'s '
            "workers count its members: write App(backend='redis://...'), or canvas_wire = \"auto\" and a backbeat worker"
        )
    return effects


def ended_by_task(node: Node) -> Node:
    """`node`, that it ends with one task: behind a group at its end stands one that returns the list."""
    steps = _counting(node)
    return steps[0] if len(steps) == 1 else Chain(steps=steps)


def check(node: Node) -> None:
    """Raise ImproperlyConfigured for what Celery's workers cannot do."""
    match node:
        case Tap():
            hooks = " and ".join(sorted(name for name, nodes in node.hooks.items() if nodes))
            raise _refusal(f"the hooks of a canvas ({hooks})")
        case Group(policy=policy) if policy is not Policy.FAIL:
            raise _refusal(f"failure_policy {policy.value!r}")
        case Chain(steps=inside) | Group(members=inside):
            for each in inside:
                check(each)
        case Call():
            if node.options.get("unique_key"):
                raise _refusal("unique_key")
    for callback in callbacks(node):
        check(callback)


def _refusal(what: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f'{what} cannot be sent with canvas_wire = "celery": Celery\'s workers do not know it. Leave it out, or set '
        'canvas_wire = "auto" and run a backbeat worker'
    )


class _Sender:
    """Makes the messages that start a canvas."""

    def __init__(self, root_id: str, parent_id: str | None, trace: Trace) -> None:
        self._root_id = root_id
        self._parent_id = parent_id
        self._trace = trace

    def sent(self, steps: Steps, part: Counted | None, value: Json | None = None) -> Iterator[Effect]:
        """Start the first of `steps` with `value` in front of its arguments; what ends last is `part` of a chord."""
        first, *rest = steps
        match first:
            case Call():
                yield from published(self._message(first, tuple(rest), part, value))
            case Group(members=()) if rest:
                yield from self.sent(tuple(rest), part, EMPTY_LIST)
            case Group() if rest:
                body, *later = _tail(tuple(rest), part)
                if later:
                    body["options"]["chain"] = later[::-1]
                yield OpenCount(first.id, len(first.members))
                text = json_value(body)
                for index, member in enumerate(first.members):
                    yield from self.sent(_counting(member), Counted(first.id, index, text), value)
            case Group():
                for index, member in enumerate(first.members):
                    yield from self.sent(_labelled(_steps(member), first.id, index), None, value)
            case Chain() | Tap():
                raise AssertionError("steps are flat, and taps were refused")

    def _message(self, call: Call, rest: Steps, part: Counted | None, value: Json | None) -> Message:
        args = plain(call.args)
        if value is not None and not call.immutable:
            args = prepend(value, args)
        own = {name: option for name, option in call.options.items() if name not in _OURS}
        where = {name: call.options[name] for name in ("copies", "first_queue") if name in call.options}
        bare = replace(call, options=own | where, kwargs=plain(call.kwargs), link=_frozen_links(call))
        message = message_of(
            bare,
            args=args,
            then=None if rest else part,
            root_id=self._root_id,
            parent_id=self._parent_id,
            trace=self._trace,
        )
        if rest:
            message = replace(message, tail=json_value(_tail(rest, part)[::-1]))
        return message


def _tail(steps: Steps, part: Counted | None) -> list[Data]:
    """What follows, in order: a group with something behind it as a chord, whose body that is. The last one is `part` of a chord."""
    found: list[Data] = []
    for step in reversed(steps):
        if isinstance(step, Group) and found:
            found.append(_chord(step, found.pop()))
        else:
            found.append(_data(step, None if found else part))
    return found[::-1]


def _chord(header: Group, body: Data) -> Data:
    members = [_whole(_counting(member)) for member in header.members]
    kwargs = {
        "kwargs": {},
        "header": _signature("group", {"tasks": members}, {"task_id": header.id}),
        "body": body,
    }
    return _signature("chord", kwargs, {"task_id": body["options"].get("task_id")})


def _whole(steps: Steps) -> Data:
    """One signature of steps."""
    tail = _tail(steps, None)
    return tail[0] if len(tail) == 1 else _signature("chain", {"tasks": tail}, {})


def _data(step: Node, part: Counted | None) -> Data:
    """One step. `part`: of a chord that is counted, as Celery's clients freeze it."""
    if isinstance(step, Group):
        return _signature("group", {"tasks": [_whole(_steps(m)) for m in step.members]}, {"task_id": step.id})
    assert isinstance(step, Call)
    own = {name: option for name, option in step.options.items() if name not in _OURS}
    data = node_to_data(replace(step, options=own, link=_frozen_links(step)), _plain)
    if part is not None:
        data["options"] |= {
            "chord": json.loads(part.body),
            "group_id": part.group_id,
            "group_index": part.index,
        }
    return data


def _signature(kind: str, kwargs: Mapping[str, Any], options: Data) -> Data:
    return {
        "task": f"celery.{kind}",
        "args": [],
        "kwargs": dict(kwargs),
        "options": options,
        "subtask_type": kind,
        "immutable": False,
    }


def _steps(node: Node) -> Steps:
    return node.steps if isinstance(node, Chain) else (node,)


def _counting(member: Node) -> Steps:
    """A member of a header, that it ends with one task."""
    steps = _steps(member)
    last = steps[-1]
    if not isinstance(last, Group):
        return steps
    first = next(first_calls(last), None)
    queue = {"queue": first.options["queue"]} if first is not None and first.options.get("queue") else {}
    value = Call(
        task=ACCUMULATE_TASK,
        id=derive(last.id, "value") if last.id else "",
        kwargs=json_value({"index": 0}),
        options=queue,
    )
    return (*steps, value)


def _labelled(steps: Steps, group_id: str, index: int) -> Steps:
    """What ends last says whose it is."""
    *before, last = steps
    if not isinstance(last, Call):
        return steps
    options = {**last.options, "group_id": group_id, "group_index": index}
    return (*before, replace(last, options=options))


def _frozen_links(call: Call) -> Steps:
    """Links with the ids that they have from us, too."""
    return tuple(freeze(link, derive(call.id, f"link:{index}")) for index, link in enumerate(call.link))


def _has_chord(node: Node) -> bool:
    match node:
        case Chain(steps=steps):
            return any(isinstance(step, Group) for step in steps[:-1]) or any(map(_has_chord, steps))
        case Group(members=members):
            return any(map(_has_chord, members))
        case _:
            return any(map(_has_chord, callbacks(node)))


def _plain(text: str) -> Any:
    return json.loads(plain(Json(text)))
