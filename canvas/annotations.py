"""Annotations: what the setting `task_annotations` says of tasks, without touching their code: options, hooks, wrappers.

    task_annotations = {"shop.add": {"rate_limit": "10/s"}, "*": {"on_failure": note_failure}}
    task_annotations = [Annotate()]           with annotate(task), and annotate_any(), each giving such a map or None

What is said of a task by its name comes after what is said of all. Functions take the place of methods, with the task as `self`; under "@name" one is
given the attribute and returns what takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FunctionType, MethodType
from typing import Any

from .errors import ImproperlyConfigured
from .importing import named_object
from .value import mapping

_DONE = "_annotated_by"
"""Where a task keeps the setting that it was annotated by."""
Annotation = Mapping[str, Any]


def read_annotations(name: str, value: Any) -> Any:
    """The setting, checked. Raises ImproperlyConfigured for what says nothing of tasks."""
    if value is None:
        return None
    for each in [value] if isinstance(value, Mapping | str) or not isinstance(value, Sequence) else value:
        if isinstance(each, Mapping):
            for task, annotation in mapping(name, each).items():
                if not isinstance(annotation, Mapping):
                    raise ImproperlyConfigured(
                        f"{name}[{task!r:.80}] must be a map of attributes, such as {{'time_limit': 10}}, found {annotation!r:.80}"
                    )
        elif not isinstance(each, str) and not hasattr(each, "annotate"):
            raise ImproperlyConfigured(
                f"{name} must be a map such as {{'shop.add': {{'time_limit': 10}}}}, or a list of such maps and of objects with "
                f"annotate(task), found {each!r:.80}"
            )
    return value


def annotate(task: Any, setting: Any) -> None:
    """Set on the task what the setting says of it, once. Raises TypeError or ImproperlyConfigured for an option that cannot be meant."""
    if setting is None or task.__dict__.get(_DONE) is setting:
        return
    task.__dict__[_DONE] = setting
    for annotation in _said_of(task, setting):
        for name, value in annotation.items():
            if name.startswith("@"):
                own = name[1:]
                setattr(task, own, value(getattr(task, own)))
            else:
                setattr(task, name, _as_method(task, name, value))
    _ = task.options  # what cannot be meant is told now


def _said_of(task: Any, setting: Any) -> Iterator[Annotation]:
    several = (
        [setting] if isinstance(setting, Mapping | str) or not isinstance(setting, Sequence) else setting
    )
    found = [named_object(each) if isinstance(each, str) else each for each in several]
    for find in (_of_all, _of_one):
        for each in found:
            annotation = find(each, task)
            if annotation:
                yield annotation


def _of_all(source: Any, _: Any) -> Annotation | None:
    if isinstance(source, Mapping):
        return source.get("*")
    any_: Callable[[], Annotation | None] | None = getattr(source, "annotate_any", None)
    return any_() if any_ is not None else None


def _of_one(source: Any, task: Any) -> Annotation | None:
    if isinstance(source, Mapping):
        return source.get(task.name)
    found: Annotation | None = source.annotate(task)
    return found


def _as_method(task: Any, name: str, value: Any) -> Any:
    """A function in the place of a method gets the task."""
    is_method = isinstance(value, FunctionType) and callable(getattr(type(task), name, None))
    return MethodType(value, task) if is_method else value
