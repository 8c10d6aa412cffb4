"""CeleryRow: a result as a row of Celery's table of results, written and read: the fields of Celery's document, each in a column of its own.

What our documents have besides (see document.py) stands inside `result` where it is of an exception; all else of it Celery's table has no place for,
so our own readers look into ours first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from .. import codec
from ..errors import DecodeError, EncodeError
from ..json_text import encoder, parsed
from ..outcome import READY_STATES
from .celery_pickle import FIRST_BYTE, from_pickle, to_pickle
from .document import Document, from_data

Row = dict[str, Any]

_encode = encoder(separators=(", ", ": "))
_SHORT = {"status": 50, "name": 155, "worker": 155, "queue": 155}
_JSON = ("args", "kwargs", "children")


def row_of(text: str, *, columns: Collection[str], pickled: bool, largest: int | None) -> Row:
    """The row for a document, given as its text, with what of `columns` Celery sets; `largest`: bytes of a result."""
    data = parsed(text)
    status, traceback = data["status"], data.get("traceback")
    try:
        result = _value(data["result"], pickled=pickled)
    except (EncodeError, DecodeError) as error:
        status, result = "FAILURE", _value(_unshared(f"it cannot be pickled: {error}"), pickled=pickled)
    if largest is not None and len(result) > largest:
        fault = f"it has {len(result):,} bytes, and the column {largest:,}: make it a LONGBLOB"
        status, result = "FAILURE", _value(_unshared(fault), pickled=pickled)
    stamps = {name: data[name] for name in data.get("stamped_headers") or () if name in data}
    row = {
        "task_id": data["task_id"],
        "status": status,
        "result": result,
        "date_done": _moment(data.get("date_done")),
        "traceback": traceback and _storable(traceback),
        "children": _bytes(data.get("children") or None),
        "name": data.get("name"),
        "args": _bytes(data.get("args")),
        "kwargs": _bytes(data.get("kwargs")),
        "worker": data.get("worker"),
        "retries": data.get("retries"),
        "queue": data.get("queue"),
        "stamps": _bytes({"stamped_headers": [*stamps], "stamps": stamps} if stamps else None),
    }
    row |= {name: row[name] and _storable(row[name])[:length] for name, length in _SHORT.items()}
    if largest is not None:
        row |= {
            name: None
            for name in (*_JSON, "stamps", "traceback")
            if row[name] and len(row[name].encode() if isinstance(row[name], str) else row[name]) > largest
        }
    return {name: value for name, value in row.items() if name in columns}


def document_of_row(row: Mapping[str, Any]) -> Document:
    """The document of a row of Celery's or of ours. Raises DecodeError for one that is neither JSON nor a pickle of plain values."""
    id_, status = row["task_id"], row.get("status") or "PENDING"
    try:
        data = {
            "task_id": id_,
            "status": status,
            "result": _read(row.get("result")),
            "traceback": row.get("traceback"),
            "date_done": _date_done(row.get("date_done")) if status in READY_STATES else None,
        }
        data |= {name: _read(row[name]) for name in _JSON if row.get(name) is not None}
        named = {name: row.get(name) for name in ("name", "worker", "retries", "queue")}
        data |= {name: value for name, value in named.items() if value is not None}
        stamped = _read(row.get("stamps"))
        if isinstance(stamped, Mapping):
            data = {
                **(stamped.get("stamps") or {}),
                **data,
                "stamped_headers": stamped.get("stamped_headers"),
            }
        return from_data(data)
    except (DecodeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DecodeError(f"the result of task {id_} in Celery's table cannot be read: {error}") from error


def value_to_blob(value: Any, *, pickled: bool) -> bytes:
    """What Celery keeps of a saved group."""
    return _value(value, pickled=pickled)


def value_of_blob(raw: bytes) -> Any:
    """The inverse. Raises DecodeError."""
    try:
        return _read(raw)
    except (ValueError, TypeError) as error:
        raise DecodeError(f"it is not JSON: {error}") from error


def _value(value: Any, *, pickled: bool) -> bytes:
    # with Celery's own types as themselves: a pickle has them, and its reader knows no JSON form of them
    return to_pickle(codec.loads(_encode(value))) if pickled else _encode(value).encode()


def _bytes(value: Any) -> bytes | None:
    return None if value is None else _encode(value).encode()


def _read(raw: Any) -> Any:
    if raw is None:
        return None
    raw = raw.encode() if isinstance(raw, str) else bytes(raw)
    if raw[:1] == FIRST_BYTE:
        value = from_pickle(raw)
        if isinstance(value, Mapping) and "exc_message" in value:
            value = {**value, "exc_message": _listed(value["exc_message"])}
        return json.loads(codec.dumps(value))
    return parsed(raw)


def _listed(message: Any) -> Any:
    """The arguments of an exception, a tuple in a pickle, as JSON has them."""
    return list(message) if isinstance(message, tuple) else message


def _moment(text: str | None) -> datetime | None:
    """A time as Celery's column has it: UTC, and without saying so."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def _date_done(moment: datetime | None) -> str:
    """A task that has ended has ended some time, also where nothing says when."""
    return (moment or datetime.fromtimestamp(0, UTC)).replace(tzinfo=UTC).isoformat()


def _storable(text: str) -> str:
    """Without what no database has: NUL, and halves of characters."""
    return str(text).replace("\x00", "").encode("utf-8", "backslashreplace").decode()


def _unshared(why: str) -> dict[str, Any]:
    """A reader that is told nothing would wait for ever."""
    text = f"the result cannot stand in Celery's table; backbeat's own readers have it. {why:.1000}"
    return {"exc_type": "ValueError", "exc_module": "builtins", "exc_message": [text]}
