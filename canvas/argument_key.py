"""ArgumentKey: a key that a task's option makes of the arguments of a call: "user:{user_id}", or a callable of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any

from .errors import ImproperlyConfigured

Run = Callable[..., Any]


def formatted_key(option: str, text: str, run: Run, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The text with the arguments in it; `run` is the function as callers see it. Raises ImproperlyConfigured, TypeError."""
    bound = inspect.signature(run).bind(*args, **kwargs)
    bound.apply_defaults()
    values = dict(bound.arguments)
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            values = {**values.pop(name), **values}
    missing = [name for name in _fields(option, text) if name not in values]
    if missing:
        raise ImproperlyConfigured(f"{option} {text!r} names {missing[0]!r}, which this call was not given")
    return text.format_map(values)


def check_key_format(option: str, text: str, run: Run) -> None:
    """Refuse a text that names what is no parameter of `run`. Raises ImproperlyConfigured."""
    parameters = inspect.signature(run).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        _fields(option, text)
        return
    for name in _fields(option, text):
        if name not in parameters:
            raise ImproperlyConfigured(
                f"{option} {text!r} names {name!r}; the task's parameters are {', '.join(parameters) or 'none'}"
            )


def _fields(option: str, text: str) -> list[str]:
    """The parameters that a format names. It may name them and nothing more. Raises ImproperlyConfigured."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise ImproperlyConfigured(f"{option} {text!r}: {error}; write {{{{ and }}}} for braces") from None
    found = []
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or spec or conversion:
            raise ImproperlyConfigured(
                f"{option} {text!r}: {{{name}}} must be the name of a parameter alone; for more write a callable of the arguments"
            )
        found.append(name)
    return found
