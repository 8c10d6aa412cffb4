"""Step: a task, chain, group or chord as it is written in YAML, read into a signature in Celery's JSON shape.

PURE. A signature is {task, args, kwargs, options, subtask_type, immutable}; a chain is the task "celery.chain" with its steps
in kwargs, and so on. Callbacks go where Celery's own link() and link_error() put them: on the task, on the chain as
a whole, on a chord's body, and link_error of a group on each member.
"""

from __future__ import annotations

from typing import Any

from .node import Mapping, Node, Sequence, shape
from .option import read_options
from .problem import Fault
from .value import arguments, data, flag, mapping, sequence, text
from .vocabulary import CALLBACKS, CHORD, COMPOSITES, STEP, check_keys

Signature = dict[str, Any]
TASK_NAME_LIMIT = 255
_STEP_HELP = "write `{task: shop.fetch}`"


def read_step(node: Node) -> Signature:
    """The signature of one step, of any kind. Raises Fault."""
    step = mapping(node, "a step", help=_STEP_HELP)
    check_keys(step, STEP)
    kind = only_one(step, ("task", *COMPOSITES))
    if kind is None:
        raise Fault(
            step.place, "E132", "a step says nothing to run", help="add task:, chain:, group: or chord:"
        )
    signature = read_work(step, kind)
    options = step.get("options")
    if options is not None:
        signature["options"] = set_options(read_options(options))
    immutable = step.get("immutable")
    if immutable is not None:
        signature["immutable"] = flag(immutable, "immutable")
    return read_callbacks(step, signature)


def read_work(step: Mapping, kind: str) -> Signature:
    """The signature under the key `kind` (task, chain, group or chord), without options and callbacks."""
    node = step.pairs[kind].value
    if kind == "task":
        return _task(step, node)
    for key in ("args", "kwargs"):
        if step.get(key) is not None:
            place = step.pairs[key].key.place
            raise Fault(
                place,
                "E121",
                f'"{key}" belongs to a task, not to a {kind}',
                help=f"write {key}: beside the task of a step",
            )
    if kind == "chord":
        return _chord(node)
    return _composite(kind, {"tasks": _steps(node, kind)})


def read_callbacks(step: Mapping, signature: Signature) -> Signature:
    """The signature with on_success and on_error attached."""
    for key in CALLBACKS:
        node = step.get(key)
        if node is not None:
            signature = _attach(signature, key, _inside(key, node), node)
    return signature


def only_one(keys: Mapping, names: tuple[str, ...]) -> str | None:
    """The one of `names` that is set, None for none. Raises Fault at the second of several."""
    found = sorted(
        (name for name in names if keys.get(name) is not None), key=lambda name: _position(keys, name)
    )
    if len(found) > 1:
        first, second = found[0], found[1]
        at = [keys.pairs[name].key.place for name in (first, second)]
        message = f"has both {first} (line {at[0].line + 1}) and {second} (line {at[1].line + 1})"
        code = "E133" if first in {"task", *COMPOSITES, "workflow"} else "E131"
        raise Fault(at[1], code, message, help="keep one")
    return found[0] if found else None


def set_options(options: Signature) -> Signature:
    """Options without those that a null unset."""
    return {name: value for name, value in options.items() if value is not None}


def _position(keys: Mapping, name: str) -> tuple[int, int]:
    place = keys.pairs[name].key.place
    return place.line, place.column


def _task(step: Mapping, node: Node) -> Signature:
    name = text(node, "task", TASK_NAME_LIMIT)
    if not name.isprintable() or name != name.strip():
        raise Fault(node.place, "E112", "task must be a name, without line breaks or spaces around it")
    args, kwargs = step.get("args"), step.get("kwargs")
    return _signature(
        name,
        [] if args is None else data(sequence(args, "args", help="write `args: [1, two]`")),
        {} if kwargs is None else dict(arguments(kwargs, "kwargs")),
    )


def _chord(node: Node) -> Signature:
    parts = mapping(node, "chord", help="write `chord: {header: [{task: a}], body: {task: b}}`")
    check_keys(parts, CHORD)
    header, body = parts.get("header"), parts.get("body")
    if header is None or body is None:
        missing = "header" if header is None else "body"
        raise Fault(parts.place, "E132", f"chord has no {missing}", help=f"add {missing}:")
    if isinstance(body, Sequence):
        raise Fault(
            body.place, "E111", "body must be one step, found a list", help="write `body: {chain: […]}`"
        )
    return _composite(
        "chord", {"header": _steps(header, "header"), "body": _inside("body", body), "kwargs": {}}
    )


def _steps(node: Node, key: str) -> list[Signature]:
    items = sequence(node, key, help="write each step as `- task: …`").items
    if not items:
        raise Fault(node.place, "E112", f"{key} has no steps", help="add a step, or remove the schedule")
    where = "header, step" if key == "header" else "step"
    return [_inside(f"{where} {number}", item) for number, item in enumerate(items, start=1)]


def _inside(where: str, node: Node) -> Signature:
    if not isinstance(node, Mapping):
        raise Fault(node.place, "E111", f"{where} must be a mapping, found {shape(node)}", help=_STEP_HELP)
    try:
        return read_step(node)
    except Fault as fault:
        raise fault.inside(where) from fault


def _signature(task: str, args: list[Any], kwargs: Signature, subtask_type: str | None = None) -> Signature:
    return {
        "task": task,
        "args": args,
        "kwargs": kwargs,
        "options": {},
        "subtask_type": subtask_type,
        "immutable": False,
    }


def _composite(kind: str, kwargs: Signature) -> Signature:
    return _signature(f"celery.{kind}", [], kwargs, kind)


def _attach(signature: Signature, key: str, callback: Signature, node: Node) -> Signature:
    kind, kwargs = signature["subtask_type"], signature["kwargs"]
    if kind == "chord":
        return {**signature, "kwargs": {**kwargs, "body": _attach(kwargs["body"], key, callback, node)}}
    if kind == "group" and key == "on_success":
        raise Fault(
            node.place,
            "E112",
            "on_success of a group has no single result to follow",
            help="write a chord, with this step as its body",
        )
    if kind == "group":
        once = {**callback, "immutable": True}
        return {
            **signature,
            "kwargs": {"tasks": [_attach(task, key, once, node) for task in kwargs["tasks"]]},
        }
    option = "link" if key == "on_success" else "link_error"
    options = signature["options"]
    return {**signature, "options": {**options, option: [*options.get(option, []), callback]}}
