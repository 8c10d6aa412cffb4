"""Fit: do the tasks that schedules name exist in an app, and do they take the arguments that are written?

Called by `backbeat check --tasks` with the tasks of an app that was imported. A name that does not exist is an error; arguments
that do not fit the function's signature are a warning, for a decorator may hide what a task really takes. What only pydantic
or the task's own code could tell is not asked.
"""

from __future__ import annotations

import inspect
from collections.abc import Container, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from ...canvas.task import Task
from ..entry import Overlap
from .call import Call, calls, uses
from .definition import Definition
from .loader import Loaded
from .node import Pair
from .problem import Problem, quoted

_BUILT_IN = ("backbeat.", "celery.")
_ANYTHING = object()
KnownTasks = Mapping[str, Task[Any, Any]]
Handed = tuple[int, ...]


def fit(loaded: Loaded, tasks: KnownTasks, *, has_results: bool, ignores_results: bool) -> list[Problem]:
    """Problems E170, W171 and W180 of all that was loaded.

    `has_results`: the app has a result backend; `ignores_results`: its tasks leave no result unless they say otherwise.
    """
    found: list[Problem] = []
    for definition in loaded.definitions:
        written, named = calls(definition.keys), definition.workflows
        found += _of_calls(written, definition.entry.name, "", tasks, named)
        found += _of_overlap(definition, tasks, has_results=has_results, ignores_results=ignores_results)
    for pair, handed in _ways_of_use(loaded):
        who = f"workflow {quoted(pair.key.text)}: "
        found += _of_calls(calls(pair.value, handed), "", who, tasks, loaded.workflows)
    return found


def _ways_of_use(loaded: Loaded) -> Iterable[tuple[Pair, Handed]]:
    """Each workflow with what its first tasks are handed where it is used, once for each difference; what nobody uses starts by itself."""
    found: dict[tuple[Pair, Handed], None] = {}
    waiting = [(each.workflows, use) for each in loaded.definitions for use in uses(each.keys)]
    while waiting:
        workflows, use = waiting.pop()
        pair = workflows.get(use.workflow)
        if pair is not None and (pair, use.handed) not in found:
            found[pair, use.handed] = None
            waiting += ((workflows, inner) for inner in uses(pair.value, use.handed))
    used = {pair for pair, _ in found}
    return [*found, *((pair, (0,)) for pair in loaded.workflows.values() if pair not in used)]


def _of_calls(
    written: Iterable[Call], schedule: str, who: str, tasks: KnownTasks, workflows: Container[str]
) -> Iterator[Problem]:
    for call in written:
        if call.task.startswith(_BUILT_IN):
            continue
        where = f"{who}{call.where}"
        task = tasks.get(call.task)
        if task is None:
            message = f"{where}the app has no task {quoted(call.task)}"
            is_workflow = call.task in workflows
            hint = f"write `workflow: {call.task}`" if is_workflow else _nearest(call.task, tasks)
            yield Problem.at(call.place, "E170", message, schedule=schedule, help=hint)
            continue
        misfit = _misfit(call, task)
        if misfit:
            message = f"{where}the arguments do not fit {call.task}: {misfit}"
            help_text = f"it is called as {call.task.rpartition('.')[2]}{_signature(task)}"
            yield Problem.at(call.args_place, "W171", message, schedule=schedule, help=help_text)


def _nearest(name: str, tasks: Iterable[str]) -> str:
    known = [each for each in tasks if not each.startswith(_BUILT_IN)]
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    if not near:  # the right name in another module
        last = name.rpartition(".")[2]
        near = [each for each in known if each.rpartition(".")[2] == last][:1]
    if near:
        return f"did you mean {quoted(near[0])}?"
    return f"known are {', '.join(sorted(known)[:10])}" if known else "the app has no tasks at all"


def _misfit(call: Call, task: Task[Any, Any]) -> str:
    """Why a call would fail; "" when one of the ways in which it can be handed something works."""
    try:
        signature = inspect.signature(task.run_bound)
    except (TypeError, ValueError):  # a function written in C tells nothing
        return ""
    reason = ""
    for handed in call.handed:
        try:
            signature.bind(*[_ANYTHING] * handed, *call.args, **call.kwargs)
        except TypeError as error:
            more = {0: "", 1: ", after the result of the step before"}.get(handed, "")
            reason = reason or f"{error}{'' if len(call.handed) > 1 else more}"
        else:
            return ""
    return reason


def _signature(task: Task[Any, Any]) -> str:
    return str(inspect.signature(task.run_bound))[:160]


def _of_overlap(
    definition: Definition, tasks: KnownTasks, *, has_results: bool, ignores_results: bool
) -> Iterator[Problem]:
    entry, node = definition.entry, definition.keys.get("overlap")
    if entry.overlap is Overlap.ALLOW or node is None or entry.what["options"].get("ignore_result"):
        return  # the last is told when the file is read
    task = tasks.get(entry.what["task"])
    own = None if task is None else task.options.ignore_result
    ignores = "ignore_result" not in entry.what["options"] and (ignores_results if own is None else own)
    if has_results and not ignores:
        return
    reason = "its result is ignored" if ignores else "the app has no result backend"
    yield Problem.at(
        node.place,
        "W180",
        f"overlap: {entry.overlap.value} needs to see the end of a run, but {reason}",
        schedule=entry.name,
        help="keep results, with a result_backend; otherwise a run counts as over after overlap_timeout",
    )
