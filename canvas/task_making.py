"""Making tasks: of functions, and of what projects made of classes of their own; what each decorator and `register_task` come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

from .importing import named_object
from .model_call import ModelCall
from .sender import Sender
from .task import Task, no_run
from .task_options import OPTION_NAMES, options_of


def task_name(run: Callable[..., Any], main: str = "") -> str:
    """module.function; functions of the main program are named after the app."""
    module = run.__module__
    return f"{main or module}.{run.__name__}" if module == "__main__" else f"{module}.{run.__name__}"


def task_of(
    run: Callable[..., Any],
    options: Mapping[str, Any],
    app: Sender | None,
    main: str = "",
    base: type[Task[Any, Any]] = Task,
) -> Task[Any, Any]:
    """A task of a function, with what its decorator was given. Raises TypeError, with a suggestion, for an option that does not exist.

    `base` is the class of tasks that name none. An option may be an attribute of the class's own.
    """
    given = dict(options)
    name = given.pop("name", None)
    if name is None:
        name = task_name(run, main)
    base = given.pop("base", None) or base
    if not (isinstance(base, type) and issubclass(base, Task)):
        raise TypeError(f"task {name}: base must be a subclass of Task, found {base!r:.100}")
    task = object.__new__(base)
    task._be(name, run, run)
    if app is not None:
        task.__dict__["bound_app"] = app
    task.__dict__["run"] = MethodType(run, task) if given.get("bind") else run
    own = {option for option in given if option not in OPTION_NAMES and hasattr(base, option)}
    options_of(name, {option: value for option, value in given.items() if option not in own})
    for option, value in given.items():
        setattr(task, option, value)
    task.__init__()  # type: ignore[misc]  # a class of the user's may keep something there
    check(task)
    return task


def app_task(app: Sender, base: type[Task[Any, Any]] | str | None) -> type[Task[Any, Any]]:
    """A class of tasks of `app`, over `base` (a class, or "module:name" or "module.name"). Raises TypeError for what is no class of tasks."""
    found = named_object(base) if isinstance(base, str) else base or Task
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise TypeError(f"task_cls must be a subclass of Task, or its name, found {base!r:.100}")
    return type(
        "Task", (found,), {"bound_app": app, "__module__": found.__module__, "__doc__": found.__doc__}
    )


def registrable(task: Any, app: Sender) -> Task[Any, Any]:
    """A task as an app takes it: checked, and bound to the app if to no other. Raises TypeError or ImproperlyConfigured."""
    made = task() if isinstance(task, type) else task
    if not isinstance(made, Task):
        raise TypeError(f"a task is an instance of a subclass of Task, found {task!r:.100}")
    if made.run == Task.run.__get__(made) and made.entry is not made:
        raise TypeError(no_run(made))
    if made.bound_app is None:
        made.bound_app = app
    check(made)
    type(made).on_bound(app)
    return made


def check(task: Task[Any, Any]) -> None:
    """Refuse a task whose options cannot be meant; give it models where it asks for them. Raises TypeError or ImproperlyConfigured."""
    options = task.options
    if options.pydantic and not isinstance(task.run, ModelCall):
        task.__dict__["run"] = ModelCall(
            task.run,
            task.name,
            lambda: task.app,
            strict=options.pydantic_strict,
            context=options.pydantic_context,
            dump_kwargs=options.pydantic_dump_kwargs,
        )
