"""Claims: what a worker takes from a SQL database is judged, and claimed if it may run. Everything happens in the caller's transaction.

Of most messages nothing is known but that they were sent. Their claims are written at once, as if that were true of all; the runs of
the others, which the insert passes over, are locked and judged by what they are (decisions K7).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from ..incarnation import is_gone
from ..message import Message
from .role import OUTBOX, Role
from .run import RunRecord, judge
from .sql_batch import SqlBatch
from .sql_revoked import revoked_of
from .taken import Taken
from .verdict import Verdict


def claim(batch: SqlBatch, taken: Sequence[Taken]) -> list[Taken]:
    """The same, with their verdicts."""
    messages = [item.message for item in taken if item.message is not None]
    if not messages or batch.role is Role.BROKER or taken[0].delivery.queue == OUTBOX:
        return list(taken)
    # what was sent through an outbox is known since then; elsewhere its message was all that was known of it
    are_known = batch.role is Role.STORE
    verdicts: dict[int, Verdict] = {} if are_known else _claim_new(batch, messages)
    rest = [message for message in messages if id(message) not in verdicts]
    if rest:
        verdicts |= _claim_locked(batch, rest, are_known=are_known)
    return [
        item if item.message is None else replace(item, verdict=verdicts[id(item.message)]) for item in taken
    ]


def _claim_new(batch: SqlBatch, messages: Sequence[Message]) -> dict[int, Verdict]:
    """By message: the verdicts of those that are new, and may run.

    Who revokes one after the look at what is revoked finds its claim; who has done so before has made its run.
    """
    refused = revoked_of(batch.connection, messages)
    verdicts: dict[str, tuple[int, Verdict]] = {}
    claims = {}
    for message in messages:
        verdict, record = _judged(batch, None, message, refused)
        if (
            record is not None and message.id not in claims
        ):  # a second copy is judged by the claim of the first
            verdicts[message.id], claims[message.id] = (id(message), verdict), record
    return dict(verdicts[id_] for id_ in batch.runs.claim(claims))


def _claim_locked(batch: SqlBatch, messages: Sequence[Message], *, are_known: bool) -> dict[int, Verdict]:
    runs = batch.runs.lock([message.id for message in messages], are_known=are_known)
    refused = revoked_of(batch.connection, messages)
    verdicts = {}
    for message in messages:
        verdicts[id(message)], record = _judged(batch, runs[message.id], message, refused)
        if record is not None:
            batch.runs.put(message.id, record)
            runs[message.id] = record
    batch.runs.write()
    return verdicts


def _judged(
    batch: SqlBatch, record: RunRecord | None, message: Message, refused: Collection[str]
) -> tuple[Verdict, RunRecord | None]:
    return judge(
        record,
        message,
        worker=batch.worker,
        now_us=batch.now_us,
        limits=batch.limits,
        revoked=any(id_ in refused for id_ in message.revocable_by),
        is_gone=is_gone,
    )
