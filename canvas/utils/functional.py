"""Small functions on sequences that Celery projects import from Celery; nothing of ours uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

__all__ = ["chunks", "dictfilter", "first", "is_list", "maybe_list", "noop", "uniq"]


def chunks(it: Iterable[T], n: int) -> Iterator[list[T]]:
    """Lists of `n` items each, the last one of what is left."""
    items = iter(it)
    while piece := list(islice(items, n)):
        yield piece


def dictfilter(d: Mapping[str, Any] | None = None, /, **more: Any) -> dict[str, Any]:
    """The entries that are not None."""
    return {key: value for key, value in {**(d or {}), **more}.items() if value is not None}


def first(predicate: Callable[[T], object] | None, it: Iterable[T]) -> T | None:
    """The first item for which `predicate` holds; None if there is none. Without a predicate the first that is not None."""
    return next((item for item in it if (item is not None if predicate is None else predicate(item))), None)


def is_list(obj: object, scalars: tuple[type, ...] = (Mapping, str), iters: Any = (Iterable,)) -> bool:
    """Whether it is a sequence of things, rather than one thing: no text, no mapping, no bytes."""
    return isinstance(obj, tuple(iters)) and not isinstance(obj, (*scalars, bytes))


def maybe_list(obj: Any, scalars: tuple[type, ...] = (Mapping, str)) -> Any:
    """A list of one thing; a sequence, and None, as it is."""
    return obj if obj is None or is_list(obj, scalars) else [obj]


def noop(*_: Any, **__: Any) -> None:
    """Nothing."""


def uniq(it: Iterable[T]) -> Iterator[T]:
    """Each item once, in the order in which they come."""
    return iter(dict.fromkeys(it))
