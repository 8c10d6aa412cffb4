"""Node: a canvas as frozen data: Call, Chain, Group. PURE.

`signature.py` is the face that users see (a dict, as in Celery); it is turned into nodes when it is sent, and flow knows only these.
A chord is a chain whose first step is a group. Ids are given by `freeze`, from one id for the whole; `to_data` writes the shape
that Celery gives to signatures, so that a node can travel as an embedded signature and be read by either side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import ImproperlyConfigured
from .ids import derive, plain_id
from .json_text import EMPTY_LIST, EMPTY_MAP, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One task to run. `args` and `kwargs` are JSON text; `options` holds what `apply_async` takes (queue, eta, headers ...)."""

    task: str
    id: str = ""
    args: Json = EMPTY_LIST
    kwargs: Json = EMPTY_MAP
    immutable: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    link: tuple[Node, ...] = ()
    link_error: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Steps that run one after the other, each getting the value of the one before. Its id is that of its last step."""

    steps: tuple[Node, ...]

    @property
    def id(self) -> str:
        """The id under which the value of the whole is found."""
        return self.steps[-1].id


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Members that run side by side; its value is the list of theirs, in order."""

    members: tuple[Node, ...]
    id: str = ""


Node = Call | Chain | Group


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
            return Group(
                id=own, members=tuple(freeze(m, derive(own, str(i))) for i, m in enumerate(node.members))
            )
        case Chain():
            last = len(node.steps) - 1
            return Chain(
                steps=tuple(
                    freeze(step, id_ if i == last else derive(id_, f"step:{i}"))
                    for i, step in enumerate(node.steps)
                )
            )


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


def root_of(node: Node) -> str:
    """The root id of a frozen canvas: its first task's, as in Celery; a group's own id where a group comes first."""
    match node:
        case Call() | Group():
            return node.id
        case Chain():
            return root_of(node.steps[0])


CHUNKS_TASK, STARMAP_TASK = "celery.chunks", "celery.starmap"
"""A signature of chunks is a group of starmaps: as one task it could only send that group, and have no value."""
DEEPEST = 100
"""Levels of signatures inside signatures; what strangers send must not exhaust the stack."""
Dump = Callable[[Any], Json]
Load = Callable[[str], Any]


def _depth_of(node: Node) -> int:
    """How many levels of signatures `node` is deep, callbacks included, as `node_from_data` counts them."""
    match node:
        case Call():
            inside = (*node.link, *node.link_error)
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


def node_to_data(node: Node, load: Load) -> dict[str, Any]:
    """`node` as a signature in Celery's JSON shape. `load` decodes JSON text into plain data."""
    match node:
        case Call():
            options = dict(node.options)
            if node.id:
                options["task_id"] = node.id
            if node.link:
                options["link"] = [node_to_data(link, load) for link in node.link]
            if node.link_error:
                options["link_error"] = [node_to_data(link, load) for link in node.link_error]
            return _signature(
                node.task, None, load(node.kwargs), options, args=load(node.args), immutable=node.immutable
            )
        case Chain():
            tasks = [node_to_data(step, load) for step in node.steps]
            return _signature("celery.chain", "chain", {"tasks": tasks}, {})
        case Group():
            members = [node_to_data(member, load) for member in node.members]
            return _signature(
                "celery.group", "group", {"tasks": members}, {"task_id": node.id} if node.id else {}
            )


def _signature(
    task: str, subtask_type: str | None, kwargs: Any, options: Any, *, args: Any = (), immutable: bool = False
) -> dict[str, Any]:
    return {
        "task": task,
        "args": list(args),
        "kwargs": kwargs,
        "options": options,
        "subtask_type": subtask_type,
        "immutable": immutable,
    }


def node_from_data(data: Mapping[str, Any], dump: Dump, depth: int = DEEPEST) -> Node:
    """The node of a signature in Celery's JSON shape. Raises KeyError, TypeError or ValueError for what is not one.

    Signatures may stand in each other `depth` levels deep, callbacks included.
    """
    if depth <= 0:
        raise ValueError(f"signatures are nested deeper than {DEEPEST} levels")
    kwargs, options = data.get("kwargs") or {}, dict(data.get("options") or {})
    link, link_error = options.pop("link", None), options.pop("link_error", None)
    match data.get("subtask_type"):
        case "chain":
            return chain_of(tuple(node_from_data(step, dump, depth - 1) for step in kwargs["tasks"]))
        case "group":
            return _group_from_data(kwargs["tasks"], options, dump, depth)
        case "chord":
            header = kwargs["header"]
            tasks = header["kwargs"]["tasks"] if isinstance(header, Mapping) else header
            group = _group_from_data(
                tasks, header.get("options") or {} if isinstance(header, Mapping) else {}, dump, depth
            )
            return chain_of((group, node_from_data(kwargs["body"], dump, depth - 1)))
        case _ if data["task"] == CHUNKS_TASK and "it" in kwargs:
            return _group_from_data(_chunks(kwargs), options, dump, depth)
        case _:
            return Call(
                task=_text(data["task"]),
                id=plain_id(options.pop("task_id", None)) or "",
                args=dump(list(data.get("args") or ())),
                kwargs=dump(dict(kwargs)),
                immutable=bool(data.get("immutable")),
                options=options,
                link=_links(link, dump, depth),
                link_error=_links(link_error, dump, depth),
            )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"a task's name must be a string that is not empty, found {value!r:.80}")
    return value


def _chunks(kwargs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The starmaps that a signature of chunks stands for."""
    it, size = kwargs["it"], kwargs["n"]
    return [
        _signature(
            STARMAP_TASK, None, {"task": kwargs["task"], "it": it[first : first + size]}, {}, immutable=True
        )
        for first in range(0, len(it), size)
    ]


def _group_from_data(tasks: Any, options: Mapping[str, Any], dump: Dump, depth: int) -> Group:
    members: list[Node] = []
    for task in tasks:
        member = node_from_data(task, dump, depth - 1)
        # a group directly inside a group gives its members to it, in order
        members.extend(member.members if isinstance(member, Group) else (member,))
    return Group(id=plain_id(options.get("task_id")) or "", members=tuple(members))


def _links(value: Any, dump: Dump, depth: int) -> tuple[Node, ...]:
    if not value:
        return ()
    return tuple(
        node_from_data(item, dump, depth - 1)
        for item in (value if isinstance(value, list | tuple) else [value])
    )
