"""NodeData: a canvas in the JSON shape that Celery gives to signatures, so that a node can travel as an embedded signature. PURE.

Policies and taps, which Celery does not know, stand where they do no harm: a policy in the options of its group, a tap as a signature of the
task `backbeat.tap`, at its place among the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from .ids import plain_id
from .json_text import EMPTY_LIST, EMPTY_MAP, Json
from .node import DEEPEST, HOOKS, Call, Chain, Group, Node, Policy, Tap, chain_of, flat, map_calls, tapped
from .webhook.ending_urls import told_by_url

TAP_TASK = "backbeat.tap"
CHUNKS_TASK, STARMAP_TASK = "celery.chunks", "celery.starmap"
"""A signature of chunks is a group of starmaps: as one task it could only send that group, and have no value."""
Dump = Callable[[Any], Json]
Load = Callable[[str], Any]


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
            options = {"task_id": node.id} if node.id else {}
            if node.policy is not Policy.FAIL:
                options["failure_policy"] = node.policy.value
            return _signature("celery.group", "group", {"tasks": members}, options)
        case Tap():
            hooks = {name: [node_to_data(each, load) for each in nodes] for name, nodes in node.hooks.items()}
            kwargs = {"of": node.of, "id": node.id, "key": node.key, "hooks": hooks}
            return _signature(TAP_TASK, None, kwargs, {})


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


_FORMS = frozenset([CHUNKS_TASK, TAP_TASK])
"""Tasks whose signatures stand for something else than a call."""


def node_from_data(data: Mapping[str, Any], dump: Dump, depth: int = DEEPEST) -> Node:
    """The node of a signature in Celery's JSON shape. Raises KeyError, TypeError or ValueError for what is not one.

    Signatures may stand in each other `depth` levels deep, callbacks included.
    """
    if depth <= 0:
        raise ValueError(f"signatures are nested deeper than {DEEPEST} levels")
    if not data.get("options") and data.get("subtask_type") is None and data["task"] not in _FORMS:
        return _call(data, {}, dump)  # nearly all members of large groups
    options = dict(data.get("options") or {})
    follow = options.pop("chain", None)
    if follow:
        # so a client of Celery's says what comes after the body of a chord: what is last stands first
        return chain_of(
            tuple(
                node_from_data(each, dump, depth - 1)
                for each in ({**data, "options": options}, *reversed(follow))
            )
        )
    hooks = {name: _links(options.pop(name, None), dump, depth) for name in HOOKS} if options else {}
    if told := told_by_url(options):
        hooks["on_done"] += told
    node = _untapped_from_data(data, options, dump, depth)
    return tapped(node, data["task"], hooks)


def _untapped_from_data(data: Mapping[str, Any], options: dict[str, Any], dump: Dump, depth: int) -> Node:
    kwargs = data.get("kwargs") or {}
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
            return chain_of((map_calls(group, _uncounted), node_from_data(kwargs["body"], dump, depth - 1)))
        case _ if data["task"] == CHUNKS_TASK and "it" in kwargs:
            return _group_from_data(_chunks(kwargs), options, dump, depth)
        case _ if data["task"] == TAP_TASK:
            hooks = {
                name: _links(nodes, dump, depth)
                for name, nodes in dict(kwargs["hooks"]).items()
                if name in HOOKS
            }
            id_, key = (plain_id(kwargs.get(name)) or "" for name in ("id", "key"))
            return Tap(of=_text(kwargs["of"]), id=id_, key=key, hooks=hooks)
        case _:
            return _call(data, options, dump, _links(link, dump, depth), _links(link_error, dump, depth))


def _call(
    data: Mapping[str, Any],
    options: dict[str, Any],
    dump: Dump,
    link: tuple[Node, ...] = (),
    link_error: tuple[Node, ...] = (),
) -> Call:
    args, kwargs = data.get("args"), data.get("kwargs")
    return Call(
        task=_text(data["task"]),
        id=plain_id(options.pop("task_id", None)) or "",
        args=dump(list(args)) if args else EMPTY_LIST,
        kwargs=dump(dict(kwargs)) if kwargs else EMPTY_MAP,
        immutable=bool(data.get("immutable")),
        options=options,
        link=link,
        link_error=link_error,
    )


def _uncounted(call: Call) -> Call:
    """A part of a chord that is set going by us, and so is joined by us: Celery's clients froze what Celery would need for it."""
    return replace(call, options={name: value for name, value in call.options.items() if name != "chord"})


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
    members = flat(node_from_data(task, dump, depth - 1) for task in tasks)
    policy = Policy(options.get("failure_policy") or Policy.FAIL)
    return Group(id=plain_id(options.get("task_id")) or "", members=members, policy=policy)


def _links(value: Any, dump: Dump, depth: int) -> tuple[Node, ...]:
    if not value:
        return ()
    return tuple(
        node_from_data(item, dump, depth - 1)
        for item in (value if isinstance(value, list | tuple) else [value])
    )
