"""ChordBooks: a chord as Celery's workers count it in Redis, as it is read; and the shape of a header's results. PURE.

How the books are kept is told in commit/celery_chord.lua. Where a member of the header ends with a group its results are named in a tree
of Celery's, `[[id, parent], [trees] or null]`, and the values are read one by one; so they are where no Redis counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from ..effect import Part
from ..json_text import NULL, Json, json_list, json_value
from ..outcome import Failure, State, Success, celery_error
from .document import Document, error_from_celery

DONE = "done"
"""The claim on a chord that is over."""


class ChordBooks(Struct, frozen=True, kw_only=True):
    """`claim` is who sends the body, "" if nobody, for `claim_seconds` more; `header` the trees of the header, if they were stored."""

    claim: str
    claim_seconds: float
    is_open: bool
    parts: Sequence[Part] = ()
    header: Sequence[Any] | None = None


@runtime_checkable
class ReadsChords(Protocol):
    """Results where Celery's workers count."""

    def chord(self, group_id: str) -> ChordBooks:
        """The books of a chord. Raises DecodeError for what is none of Celery's."""
        ...


def part_of(index: int, text: str | bytes) -> Part:
    """A part as Celery's workers write it: `[1, id, state, result]`."""
    _, id_, state, result = json.loads(text)
    if state == State.SUCCESS:
        return Part(index, id_, Success(value=json_value(result)))
    if not isinstance(result, Mapping):
        return Part(index, id_, Failure(error=celery_error("TaskError", f"it ended as {state}", id_)))
    return Part(index, id_, Failure(error=error_from_celery(result)))


def leaves(trees: Sequence[Any]) -> Iterator[str]:
    """The ids of the tasks in `trees` that have results of their own."""
    for (id_, _), inside in trees:
        if inside is None:
            yield id_
        else:
            yield from leaves(inside)


def parts_of(trees: Sequence[Any], documents: Mapping[str, Document]) -> list[Part]:
    """What the members of a header came to; all of their documents are ready."""
    return [Part(index, *_ended(tree, documents)) for index, tree in enumerate(trees)]


def _ended(tree: Any, documents: Mapping[str, Document]) -> tuple[str, Success | Failure]:
    (id_, _), inside = tree
    if inside is None:
        return id_, _outcome_of(documents[id_])
    members = [_ended(each, documents) for each in inside]
    failed = next(((member, ended) for member, ended in members if isinstance(ended, Failure)), None)
    return failed or (id_, Success(value=json_list(_values(members))))


def _values(members: Sequence[tuple[str, Success | Failure]]) -> Iterator[Json]:
    for _, ended in members:
        yield ended.value if isinstance(ended, Success) else NULL


def _outcome_of(document: Document) -> Success | Failure:
    if document.state is State.SUCCESS:
        return Success(value=document.value)
    error = document.error or celery_error("TaskError", f"it ended as {document.state}", document.id)
    return Failure(error=error, traceback=document.traceback or "")
