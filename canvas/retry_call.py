"""RetryCall: what one `self.retry(...)`, or the option `retry_kwargs={...}`, asks for, checked. It is no decision: see task.py.

A retry is the same message again, with the next attempt: its place in a canvas, its links and its ids cannot be changed. What it may
change besides the arguments is how its message travels and how it runs: CHANGEABLE.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field

from .errors import ImproperlyConfigured
from .options import checked, to_one_queue
from .retrying import count_of
from .value import check_limits, keywords, positional

CHANGEABLE = frozenset(
    "exchange expires headers priority queue routing_key shadow soft_time_limit time_limit".split()
)
WITHOUT_MEANING = frozenset(
    "add_to_parent compression connection delivery_mode producer retry retry_policy router serializer".split()
)
"""Options of Celery's that say how a message is sent; taken and passed over here as in `apply_async`."""
OWN = ("args", "kwargs", "eta", "countdown", "max_retries")


class RetryCall(Struct, frozen=True, kw_only=True):
    """What is asked for. `args`, `kwargs`, `max_retries` and `when` (seconds, or an aware datetime) are None where they are not given.

    `options` are those of the next message that differ, as `options.checked` gives them.
    """

    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] | None = None
    when: datetime | float | None = None
    max_retries: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def retry_call(given: Mapping[str, Any]) -> RetryCall:
    """What `given`, the keyword arguments of a retry, ask for; None is as if it were not given.

    Raises TypeError for what a retry does not take, ImproperlyConfigured for a value that cannot be.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"must be a map, found {given!r:.100}")
    for name in given:
        _check_name(name)
    args, kwargs, max_retries = given.get("args"), given.get("kwargs"), given.get("max_retries")
    count = count_of(max_retries)
    if max_retries is not None and count is None:
        raise ImproperlyConfigured(
            f"max_retries must be a whole number from 0 on, found {max_retries!r:.100}"
        )
    wanted = to_one_queue(
        checked({name: given[name] for name in given if name in CHANGEABLE or name in ("eta", "countdown")}),
        "a retry",
    )
    eta, countdown = wanted.pop("eta", None), wanted.pop("countdown", None)
    check_limits(wanted)
    return RetryCall(
        args=None if args is None else tuple(positional(args)),
        kwargs=None if kwargs is None else keywords(kwargs),
        when=countdown if eta is None else _moment(eta),
        max_retries=count,
        options=wanted,
    )


def _check_name(name: str) -> None:
    known = CHANGEABLE | WITHOUT_MEANING | {*OWN}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        can = ", ".join((*OWN, *sorted(CHANGEABLE)))
        raise TypeError(f"a retry cannot have {name!r}{hint} It takes {can}.")


def _moment(eta: str) -> datetime:
    """The moment of what `options.checked` lets pass; a text without an offset is UTC, as everywhere."""
    moment = datetime.fromisoformat(eta)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
