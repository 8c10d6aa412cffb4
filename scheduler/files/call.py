"""Call: one task that a schedule starts, or one workflow that it uses, at the place where it is named, with the arguments that it will get.

PURE. A walk over what is written, so that a check against an app can point at the line. The result of the step before comes in
front of a step's arguments unless it is immutable; error callbacks get the failed task's id, or request, exception and traceback;
those of a group get nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .node import Mapping, Node, Scalar, Sequence
from .source import Place
from .value import data


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A task by name. `handed` are the numbers of arguments that may come in front: (0,) none, (1,) a result, (1, 3) an error.

    What is not known here may be any of several.
    """

    task: str
    place: Place
    where: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any]
    args_place: Place
    handed: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A workflow by name; `handed` is for the tasks that it starts with."""

    workflow: str
    place: Place
    where: str = ""
    handed: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class _Spot:
    where: str = ""
    handed: tuple[int, ...] = (0,)

    def inside(self, where: str, handed: tuple[int, ...]) -> _Spot:
        return replace(self, where=f"{self.where}{where}: ", handed=handed)


_NOTHING, _RESULT, _ERROR = (0,), (1,), (1, 3)


def calls(keys: Node, handed: tuple[int, ...] = _NOTHING) -> Iterator[Call]:
    """All tasks that a schedule, a workflow or a step names, with those of its callbacks; not those of a named workflow.

    `handed` is what the tasks get that it starts with.
    """
    return (each for each in _walk(keys, _Spot(handed=handed)) if isinstance(each, Call))


def uses(keys: Node, handed: tuple[int, ...] = _NOTHING) -> Iterator[Use]:
    """All workflows that it names, likewise."""
    return (each for each in _walk(keys, _Spot(handed=handed)) if isinstance(each, Use))


def _walk(node: Node | None, spot: _Spot) -> Iterator[Call | Use]:
    if not isinstance(node, Mapping):
        return
    immutable = node.get("immutable")
    if isinstance(immutable, Scalar) and immutable.value is True:
        spot = replace(spot, handed=_NOTHING)
    task, workflow = node.get("task"), node.get("workflow")
    if isinstance(task, Scalar):
        yield _call(node, task, spot)
    if isinstance(workflow, Scalar):
        yield Use(workflow=str(workflow.value), place=workflow.place, where=spot.where, handed=spot.handed)
    yield from _parts(node, spot)
    on_error = _ERROR if workflow is None else (*_NOTHING, *_ERROR)  # the name may be that of a group
    for key, handed in (
        ("on_success", _RESULT),
        ("on_error", _NOTHING if node.get("group") is not None else on_error),
    ):
        callbacks = node.get(key)
        if isinstance(callbacks, Sequence):
            for number, item in enumerate(callbacks.items, start=1):
                yield from _walk(item, spot.inside(f"{key} {number}", handed))
        else:
            yield from _walk(callbacks, spot.inside(key, handed))


def _parts(node: Mapping, spot: _Spot) -> Iterator[Call | Use]:
    chain, group, chord = node.get("chain"), node.get("group"), node.get("chord")
    if isinstance(chain, Sequence):
        for number, item in enumerate(chain.items, start=1):
            handed = spot.handed if number == 1 else _RESULT
            yield from _walk(item, spot.inside(f"step {number}", handed))
    if isinstance(group, Sequence):
        for number, item in enumerate(group.items, start=1):
            yield from _walk(item, spot.inside(f"step {number}", spot.handed))
    if isinstance(chord, Mapping):
        header = chord.get("header")
        for number, item in enumerate(header.items if isinstance(header, Sequence) else (), start=1):
            yield from _walk(item, spot.inside(f"header, step {number}", spot.handed))
        yield from _walk(chord.get("body"), spot.inside("body", _RESULT))


def _call(node: Mapping, task: Scalar, spot: _Spot) -> Call:
    args, kwargs = node.get("args"), node.get("kwargs")
    wrong = args if args is not None else kwargs
    return Call(
        task=str(task.value),
        place=task.place,
        where=spot.where,
        args=tuple(data(item) for item in args.items) if isinstance(args, Sequence) else (),
        kwargs=data(kwargs) if isinstance(kwargs, Mapping) else {},
        args_place=task.place if wrong is None else wrong.place,
        handed=spot.handed,
    )
