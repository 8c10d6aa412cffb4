"""CeleryPickle: plain values as the pickles that Celery before 5.7 keeps in its tables; whoever reads one runs nothing of it.

Only what is listed here is made of a pickle: what JSON has, tuples, sets, and Celery's own types of values. A class that stands in it is never looked up.
"""

from __future__ import annotations

import io
import pickle
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, SafeUUID

from ..errors import DecodeError, EncodeError

FIRST_BYTE = b"\x80"
"""Of every pickle that Celery writes; no JSON begins so."""
_PROTOCOL = 2
"""Which every Python has that Celery runs on."""
_TYPES = {
    (each.__module__, each.__qualname__): each
    for each in (
        datetime,
        date,
        time,
        timedelta,
        timezone,
        Decimal,
        UUID,
        SafeUUID,
        set,
        frozenset,
        complex,
        bytearray,
    )
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = _TYPES.get((module.replace("__builtin__", "builtins"), name))
        if known is None:
            raise DecodeError(f"it holds {module}.{name}, and only plain values are read from a pickle")
        return known


def from_pickle(raw: bytes) -> Any:
    """The value. Raises DecodeError for one that is not plain, and for what is no pickle."""
    try:
        return _PlainUnpickler(io.BytesIO(raw)).load()
    except DecodeError:
        raise
    except Exception as error:  # a pickle that is broken raises anything
        raise DecodeError(f"it is a pickle that cannot be read: {error!r}") from error


def to_pickle(value: Any) -> bytes:
    """The inverse. Raises EncodeError."""
    try:
        return pickle.dumps(value, protocol=_PROTOCOL)
    except Exception as error:  # a class that a user registered with kombu may raise anything
        raise EncodeError(f"{error!r}") from error
