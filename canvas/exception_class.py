"""ExceptionClass: finding the class of a recorded exception, and making an exception of it without its constructor.

A class is found by name among what is loaded (decisions C4), never imported, and only if it is an Exception; for any other name one
is made up. A constructor of the user's own is not called, as what it wants is not what `args` holds, and what it did is known: the
attributes were recorded. Only that of the class in builtins above it is, which may keep more of an exception than a dict shows.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import MemberDescriptorType
from typing import Any, cast

from .errors import SHARED_WITH_CELERY, TaskError
from .loaded import loaded

_OURS = ("celery.exceptions", "billiard.exceptions", "backbeat.canvas.errors")
"""Where the classes of SHARED_WITH_CELERY are; those of lost workers and of limits are in the pool of Celery's workers."""


def loaded_class(module: str, name: str) -> type[Exception] | None:
    """The class of this name if it is loaded and an Exception. Classes that Celery has too are ours."""
    if module in _OURS and name in SHARED_WITH_CELERY:
        return SHARED_WITH_CELERY[name]
    found = loaded(module, name)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def made_up(module: str, name: str, text: str | None = None, *bases: type[Exception]) -> type[Exception]:
    """A class under this name, a TaskError, and one of `bases` too; its exceptions say `text`, if that is given."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    body: dict[str, Any] = {"__module__": module, "__qualname__": name}
    if text is not None:
        body["__str__"] = lambda _: text
    return cast("type[Exception]", type(name.rsplit(".", 1)[-1], (TaskError, *bases), body))


def saying(cls: type[Exception], text: str) -> type[Exception] | None:
    """`cls` with exceptions that say `text`; None where a class of it cannot be made, or would run code of the user's own."""
    if type(cls) is not type or any("__init_subclass__" in vars(base) for base in cls.__mro__[:-1]):
        return None
    body = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__str__": lambda _: text}
    try:
        return type(cls.__name__, (cls,), body)
    except TypeError:  # a final class of an extension module
        return None


def bare(cls: type[Exception], args: Sequence[Any]) -> Exception:
    """An exception of `cls` that no constructor but that of builtins has seen. Raises TypeError where there is no such thing."""
    base: Any = cls
    while not _is_builtin(base):
        base = base.__base__  # the one whose memory layout it has, which not the first of several needs to be
    exc: Any = base.__new__(cls, *args)
    first: Any = next(filter(_is_builtin, cls.__mro__))
    with suppress(TypeError):  # args were changed later
        first.__init__(exc, *args)
    _args.__set__(exc, tuple(args))
    return cast("Exception", exc)


def bare_group(cls: type[Exception], message: str, members: Sequence[Exception]) -> Exception:
    """An ExceptionGroup of `cls`, likewise."""
    return cast("Exception", BaseExceptionGroup.__new__(cast("Any", cls), message, list(members)))


# --- attributes ----------------------------------------------------------------------------------------------------------------


def attributes_of(exc: BaseException) -> Iterator[tuple[str, Any]]:
    """What an exception holds besides its arguments: its dict, its slots, and what classes of builtins keep in C."""
    for name, value in dict_of(exc).items():
        if _is_attribute(name):
            yield name, value
    for owner, name, slot in _slots(type(exc)):
        try:
            value = slot.__get__(exc)
        except AttributeError:
            continue  # it was never set
        if not _is_builtin(owner) or _is_worth_it(exc, name, value):
            yield name, value


def set_attributes(exc: BaseException, attributes: Mapping[str, Any]) -> None:
    """The inverse. Not by setattr, which a class may forbid or use for something else."""
    slots = {name: slot for _, name, slot in reversed(list(_slots(type(exc))))}
    own = dict_of(exc)
    for name, value in attributes.items():
        if not _is_attribute(name):
            continue
        if name not in slots:
            own[name] = value
            continue
        # it may be what C cannot keep there: the record is of another version of the class
        with suppress(TypeError, ValueError, AttributeError):
            slots[name].__set__(exc, value)


def set_cause(exc: BaseException, cause: BaseException) -> None:
    """`raise exc from cause`, likewise."""
    slot: Any = BaseException.__dict__["__cause__"]
    slot.__set__(exc, cause)


def dict_of(exc: BaseException) -> dict[str, Any]:
    """Its dict, whatever its class makes of that name."""
    own: dict[str, Any] = object.__getattribute__(exc, "__dict__")
    return own


def args_of(exc: BaseException) -> tuple[Any, ...]:
    """Its arguments, likewise."""
    args: tuple[Any, ...] = _args.__get__(exc)
    return args


def type_name(cls: type) -> str:
    """Its name, likewise."""
    name: str = _qualname.__get__(cls)
    return name


_args: Any = vars(BaseException)["args"]
_qualname: Any = vars(type)["__qualname__"]


def _is_attribute(name: object) -> bool:
    return isinstance(name, str) and not name.startswith("__")


def _is_worth_it(exc: BaseException, name: str, value: object) -> bool:
    """False for what C takes from the arguments, for a group's members, and for what an AttributeError is about: it is the user's data."""
    left_out = value is None or name in ("obj", "exceptions")
    return not left_out and not any(value is arg for arg in args_of(exc))


def _is_builtin(cls: type) -> bool:
    return getattr(builtins, cls.__name__, None) is cls


def _slots(cls: type) -> Iterator[tuple[type, str, MemberDescriptorType]]:
    for base in cls.__mro__:
        for name, value in vars(base).items():
            if isinstance(value, MemberDescriptorType) and _is_attribute(name):
                yield base, name, value
