"""Step: a task, chain, group, chord or the name of a workflow as it is written in YAML, read into a signature.

PURE. What a signature is stands in signature.py, where callbacks go in callback.py, what names stand for in workflow.py.
"""

from __future__ import annotations

from collections.abc import Callable

from .callback import attached
from .node import Mapping, Node, Sequence, shape
from .option import check_limits, read_options
from .problem import Fault
from .signature import Signature, check_size, composite, made_immutable, options_of_first, task_signature
from .value import arguments, data, flag, mapping, sequence, text
from .vocabulary import CALLBACKS, CHORD, STEP, WHAT, check_keys

Named = Callable[[Node], Signature]
"""The signature of the workflow that a node names. Raises Fault for a name that there is not, or that stands for nothing."""
TASK_NAME_LIMIT = 255
_STEP_HELP = "write `{task: shop.fetch}`"


def read_step(node: Node, named: Named) -> Signature:
    """The signature of one step, of any kind. Raises Fault."""
    step = mapping(node, "a step", help=_STEP_HELP)
    check_keys(step, STEP)
    kind = only_one(step, WHAT)
    if kind is None:
        raise Fault(
            step.place,
            "E132",
            "a step says nothing to run",
            help="add task:, chain:, group:, chord: or workflow:",
        )
    signature = read_work(step, kind, named)
    options = step.get("options")
    if options is not None:
        given = {**signature["options"], **read_options(options)}
        signature = {**signature, "options": set_options(given)}
        for sent in options_of_first(signature):
            check_limits(sent, options)
    immutable = step.get("immutable")
    if immutable is not None and flag(immutable, "immutable"):
        signature = made_immutable(signature)
    return read_callbacks(step, signature, named)


def read_work(step: Mapping, kind: str, named: Named) -> Signature:
    """The signature under the key `kind` (task, chain, group, chord or workflow), without options and callbacks of the step."""
    node = step.pairs[kind].value
    if kind == "task":
        return _task(step, node)
    signature = named(node) if kind == "workflow" else None
    for key in ("args", "kwargs"):
        if step.get(key) is not None:
            place = step.pairs[key].key.place
            raise Fault(
                place,
                "E121",
                f'"{key}" belongs to a task, not to a {kind}',
                help="write it in the workflow's steps"
                if kind == "workflow"
                else f"write {key}: beside the task of a step",
            )
    if signature is not None:
        return signature
    if kind == "chord":
        signature = _chord(node, named)
    else:
        signature = composite(kind, {"tasks": _steps(node, kind, named)})
    check_size(signature, step.pairs[kind].key.place)  # before anybody walks it
    return signature


def read_callbacks(step: Mapping, signature: Signature, named: Named) -> Signature:
    """The signature with on_success and on_error attached: one step each, or a list of them."""
    for key in CALLBACKS:
        node = step.get(key)
        if node is not None:
            for where, each in _callbacks(key, node):
                signature = attached(signature, key, _inside(where, each, named), each)
    return signature


def _callbacks(key: str, node: Node) -> list[tuple[str, Node]]:
    """Each callback, with what messages call it."""
    if not isinstance(node, Sequence):
        return [(key, node)]
    if not node.items:
        raise Fault(node.place, "E112", f"{key} has no steps", help="add a step, or remove the key")
    return [(f"{key} {number}", item) for number, item in enumerate(node.items, start=1)]


def only_one(keys: Mapping, names: tuple[str, ...]) -> str | None:
    """The one of `names` that is set, None for none. Raises Fault at the second of several."""
    found = sorted(
        (name for name in names if keys.get(name) is not None), key=lambda name: _position(keys, name)
    )
    if len(found) > 1:
        first, second = found[0], found[1]
        at = [keys.pairs[name].key.place for name in (first, second)]
        message = f"has both {first} (line {at[0].line + 1}) and {second} (line {at[1].line + 1})"
        code = "E133" if first in WHAT else "E131"
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
    return task_signature(
        name,
        [] if args is None else data(sequence(args, "args", help="write `args: [1, two]`")),
        {} if kwargs is None else dict(arguments(kwargs, "kwargs")),
    )


def _chord(node: Node, named: Named) -> Signature:
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
    return composite(
        "chord",
        {"header": _steps(header, "header", named), "body": _inside("body", body, named), "kwargs": {}},
    )


def _steps(node: Node, key: str, named: Named) -> list[Signature]:
    items = sequence(node, key, help="write each step as `- task: …`").items
    if not items:
        raise Fault(node.place, "E112", f"{key} has no steps", help="add a step, or remove the schedule")
    where = "header, step" if key == "header" else "step"
    return [_inside(f"{where} {number}", item, named) for number, item in enumerate(items, start=1)]


def _inside(where: str, node: Node, named: Named) -> Signature:
    if not isinstance(node, Mapping):
        raise Fault(node.place, "E111", f"{where} must be a mapping, found {shape(node)}", help=_STEP_HELP)
    try:
        return read_step(node, named)
    except Fault as fault:
        raise fault.inside(where) from fault
