"""Node: a canvas as frozen data: Call, Chain, Group, and Tap. PURE.

`signature.py` is the face that users see (a dict, as in Celery); it is turned into nodes when it is sent, and flow knows only these.
A chord is a chain whose first step is a group. Ids are given by `freeze`, from one id for the whole; node_data.py writes the shape
that Celery gives to signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from .errors import ImproperlyConfigured
from .ids import derive
from .json_text import EMPTY_LIST, EMPTY_MAP, Json


class Call(Struct, frozen=True, kw_only=True):
    """One task to run. `args` and `kwargs` are JSON text; `options` holds what `apply_async` takes (queue, eta, headers ...)."""

    task: str
    id: str = ""
    args: Json = EMPTY_LIST
    kwargs: Json = EMPTY_MAP
    immutable: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    link: tuple[Node, ...] = ()
    link_error: tuple[Node, ...] = ()


class Chain(Struct, frozen=True, kw_only=True):
    """Steps that run one after the other, each getting the value of the one before. Its id is that of its last step."""

    steps: tuple[Node, ...]

    @property
    def id(self) -> str:
        """The id under which the value of the whole is found."""
        return untapped(self.steps)[-1].id


class Policy(StrEnum):
    """What becomes of what follows a group when members fail."""

    FAIL = "fail"
    """It fails, once all members have ended. As in Celery, and so the default."""
    FAIL_FAST = "fail_fast"
    """It fails at once, and members that have not started are revoked."""
    COLLECT = "collect"
    """It runs: the list has the error itself in the place of each member that failed."""
    DROP = "drop"
    """It runs: the list is of the members that succeeded."""


class Group(Struct, frozen=True, kw_only=True):
    """Members that run side by side; its value is the list of theirs, in order."""

    members: Sequence[Node]
    id: str = ""
    policy: Policy = Policy.FAIL


HOOKS = ("on_success", "on_failure", "on_done")
"""When a tap calls: with the value, with a report of the failure, and with a report of either."""


class Tap(Struct, frozen=True, kw_only=True):
    """A step that is no task: it tells how the canvas `of` it, which ends just before it, ended, and gives on what it gets.

    `id` is the id of the value of that canvas; the callbacks have ids that come from `key`, as several taps may follow each other.
    """

    of: str = ""
    id: str = ""
    key: str = ""
    hooks: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)

    def changed(self, change: Callable[[Node], Node]) -> Tap:
        """The tap with `change` applied to all that it calls."""
        return replace(self, hooks={name: tuple(map(change, nodes)) for name, nodes in self.hooks.items()})


Node = Call | Chain | Group | Tap


def chain_of(steps: tuple[Node, ...]) -> Node:
    """A chain of `steps` with nested chains spliced in; a chain of one is that one. Raises ValueError for a chain of none."""
    flat: list[Node] = []
    for step in steps:
        flat.extend(step.steps if isinstance(step, Chain) else (step,))
    if not flat:
        raise ValueError("a chain without steps has no value")
    return flat[0] if len(flat) == 1 else Chain(steps=tuple(flat))


def freeze(node: Node, id_: str) -> Node:
    """`node` with `id_` as the id of its value and derived ids everywhere below; ids that a sender froze earlier are kept.

    Member ids come from (group id, index), so whoever knows a group's id and size knows its members (decisions K4, K5).
    """
    match node:
        case Call():
            return node if node.id else replace(node, id=id_)
        case Group():
            own = node.id or id_
            members = tuple(freeze(m, derive(own, str(i))) for i, m in enumerate(node.members))
            return replace(node, id=own, members=members)
        case Chain():
            return Chain(steps=tuple(_frozen_steps(node.steps, id_)))
        case Tap():
            return node


def _frozen_steps(steps: tuple[Node, ...], id_: str) -> Iterator[Node]:
    last = len(untapped(steps)) - 1
    before = ""
    for index, step in enumerate(steps):
        own = derive(id_, f"step:{index}")
        frozen = (
            replace(step, id=before, key=step.key or own)
            if isinstance(step, Tap)
            else freeze(step, id_ if index == last else own)
        )
        before = frozen.id
        yield frozen


def flat(members: Iterable[Node]) -> tuple[Node, ...]:
    """The members of a group: of a plain group directly inside it those of that group, in order."""
    found: list[Node] = []
    for member in members:
        is_plain = isinstance(member, Group) and member.policy is Policy.FAIL
        found.extend(member.members if is_plain and isinstance(member, Group) else (member,))
    return tuple(found)


def steps_of(node: Node) -> tuple[Node, ...]:
    """The steps of a chain; anything else is one."""
    return node.steps if isinstance(node, Chain) else (node,)


def untapped(steps: tuple[Node, ...]) -> tuple[Node, ...]:
    """The steps up to the last one that is none of the taps at the end."""
    while steps and isinstance(steps[-1], Tap):
        steps = steps[:-1]
    return steps


def bare(node: Node) -> Node:
    """`node` without the taps at its end."""
    if not isinstance(node, Chain):
        return node
    steps = untapped(node.steps)
    return steps[0] if len(steps) == 1 else Chain(steps=steps)


def tapped(node: Node, of: str, hooks: Mapping[str, tuple[Node, ...]]) -> Node:
    """`node`, the canvas `of` a task or of a kind, with what is called when it has ended. As it is if that is nothing."""
    if not any(hooks.values()):
        return node
    return chain_of((node, Tap(of=of, hooks={name: nodes for name, nodes in hooks.items() if nodes})))


def with_policy(node: Node, policy: Policy) -> Node:
    """`node` with this policy for it, if it is a group, or for the groups that are its steps."""
    match node:
        case Group():
            return replace(node, policy=policy)
        case Chain():
            return Chain(
                steps=tuple(
                    with_policy(step, policy) if isinstance(step, Group) else step for step in node.steps
                )
            )
    return node


def frozen_errbacks(errbacks: tuple[Node, ...], id_: str) -> tuple[Node, ...]:
    """Error callbacks with ids by their places, under the id of the task whose failure they are told of."""
    return tuple(freeze(errback, derive(id_, f"errback:{index}")) for index, errback in enumerate(errbacks))


def calls(node: Node) -> Iterator[Call]:
    """Every call of `node`, in order; links and error callbacks are not part of it."""
    match node:
        case Call():
            yield node
        case Chain():
            for step in node.steps:
                yield from calls(step)
        case Group():
            for member in node.members:
                yield from calls(member)
        case Tap():
            pass


def callbacks(node: Node) -> Iterator[Node]:
    """What is called when something in `node` ends: links and error callbacks of its calls, and what its taps call."""
    match node:
        case Call():
            yield from (*node.link, *node.link_error)
        case Chain():
            for step in node.steps:
                yield from callbacks(step)
        case Group():
            for member in node.members:
                yield from callbacks(member)
        case Tap():
            for nodes in node.hooks.values():
                yield from nodes


def first_calls(node: Node) -> Iterator[Call]:
    """The calls that start when `node` starts."""
    match node:
        case Call():
            yield node
        case Chain():
            yield from first_calls(node.steps[0])
        case Group():
            for member in node.members:
                yield from first_calls(member)
        case Tap():
            pass


def map_first(node: Node, change: Callable[[Call], Call]) -> Node:
    """`node` with `change` applied to the calls that start when it starts."""
    match node:
        case Call():
            return change(node)
        case Chain():
            return replace(node, steps=(map_first(node.steps[0], change), *node.steps[1:]))
        case Group():
            return replace(node, members=tuple(map_first(member, change) for member in node.members))
        case Tap():
            return node


def map_calls(node: Node, change: Callable[[Call], Call]) -> Node:
    """`node` with `change` applied to all its calls."""
    match node:
        case Call():
            return change(node)
        case Chain():
            return replace(node, steps=tuple(map_calls(step, change) for step in node.steps))
        case Group():
            return replace(node, members=tuple(map_calls(member, change) for member in node.members))
        case Tap():
            return node


def root_of(node: Node) -> str:
    """The root id of a frozen canvas: its first task's, as in Celery; a group's own id where a group comes first."""
    match node:
        case Call() | Group() | Tap():
            return node.id
        case Chain():
            return root_of(node.steps[0])


DEEPEST = 100
"""Levels of signatures inside signatures; what strangers send must not exhaust the stack."""


def _depth_of(node: Node) -> int:
    """How many levels of signatures `node` is deep, callbacks included, as `node_from_data` counts them."""
    inside: Sequence[Node]
    match node:
        case Call(link=(), link_error=()):
            return 1
        case Call() | Tap():
            inside = tuple(callbacks(node))
        case Chain():
            inside = node.steps
        case Group():
            inside = node.members
    return 1 + max(map(_depth_of, inside), default=0)


def check_depth(node: Node) -> None:
    """Raise ImproperlyConfigured for a canvas that nobody could read again: it would never end."""
    depth = _depth_of(node)
    if depth > DEEPEST:
        raise ImproperlyConfigured(
            f"the canvas has {depth} levels of signatures inside signatures, more than {DEEPEST} (a chord has two): let a task send what is inside"
        )
