"""RedisBatch: transitions and claims as the one JSON argument of exchange.lua, and its reply as what Commit promises.

Whatever can fail is done here, before the script runs, as a script that fails in the middle is not undone. Payloads are texts inside
the argument; the script moves them and never reads them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from ..delivery import Delivery
from ..effect import (
    AddPart,
    CloseChain,
    CountPart,
    Effect,
    GrowJoin,
    KeepChain,
    OpenChain,
    OpenCount,
    OpenJoin,
    OpenPlan,
    Publish,
    ReopenJoin,
    Restart,
    Revoke,
    SealJoin,
    Settle,
)
from ..json_text import parsed
from ..message import Message, sent_at
from ..outcome import GoingOn, Outcome, Revoked, outcome_from_data, outcome_to_data
from ..own_tasks import join_message
from ..plan import plan_to_text
from ..priority import step_of
from ..quota import Ask
from ..results.compression import compressed
from ..results.document import Document, document_of, to_text
from ..series import Series
from ..signing import NO_KEYS, Keyring
from ..stamp import stamp_keys
from ..unique import Unique
from . import records
from .celery_chord import count_part, open_count
from .dead_letter import part_without_join
from .lane import ring_of
from .limits import Limits
from .redis_dead import letter_to_text
from .role import OUTBOX, Role
from .sent import STEP_SECONDS, WAITING_SECONDS, sent_by
from .taken import Taken, decoded
from .transition import Exchange, Transition, settled_document
from .unique import hold_of, known_us, look_us, message_of
from .verdict import Later, Poison, Run, Settled, Stale, Standing, Verdict, WasRevoked

Row = dict[str, Any]
NO_ID = "\1id\1"
"""Stands in a document for the id that only the script knows."""
REVOKED = {"revoked": json.dumps(outcome_to_data(Revoked()))}
"""What scripts need to know to revoke a task."""
BY_HAND = -1
"""For the script, the attempt of a Settle that names none."""
UNREAD = "the message cannot be judged by the store"


class RedisBatch(Struct, frozen=True):
    """Renders for one exchange. `worker` is the name for documents; `now_us` the server's clock, as well as the client knows it."""

    worker: str
    now_us: int
    role: Role
    limits: Limits
    keyring: Keyring
    series: Series
    blobs: list[bytes] = field(default_factory=list)
    """Compressed documents; a number in place of a document says which argument of the script it is."""

    def transition(self, transition: Transition) -> Row:
        """One transition as the script reads it."""
        transition = transition.dated(self.now_us)
        row: Row = {"effects": [self.effect(effect) for effect in transition.effects]}
        if sent := self.sent(transition.effects):
            row["sent"] = sent
        message, outcome = transition.message, transition.outcome
        if message is not None and outcome is not None:
            row |= {
                "id": message.id,
                "attempt": message.attempt,
                "generation": message.generation,
                "outcome": outcome_text(outcome),
                "again": isinstance(outcome, GoingOn),
            }
            extended = self.limits.extended
            document = transition.document(
                now_us=self.now_us, worker=self.worker, extended=extended, keyring=self.keyring
            )
            if document is not None:
                row["document"] = self._written(document)
        if transition.puts_off is not None:
            row["puts_off"] = claim_row(transition.puts_off.message)
        if transition.admits is not None:
            row["admits"] = self._ask(transition.admits)
        if transition.frees is not None:
            row["frees"] = transition.frees
        if transition.early is not None:
            row["early"] = claim_row(transition.early)
        if transition.closes is not None:
            generation = transition.closes.generation
            row["closes"] = {
                "id": transition.closes.join_id,
                "generation": -1 if generation is None else generation,
                "keeps_parts": transition.closes.keeps_parts,
            }
        if transition.counted is not None:
            row["counted"] = transition.counted
        if transition.digs_up is not None:
            row["digs_up"] = transition.digs_up
        if transition.unique is not None:
            row["unique"] = self._unique(transition.unique, transition.effects)
        if transition.dead is not None:
            row["dead"] = letter_to_text(transition.dead, self.now_us)
        if transition.delivery is not None and transition.delivery.tag:
            row["tag"] = transition.delivery.tag
        return row

    def sent(self, effects: Sequence[Effect]) -> list[Any]:
        """Ids that become known, each followed by the seconds for which they are if nothing happens to them."""
        if self.role is Role.BROKER:
            return []
        sent, keep = sent_by(effects), self.limits.keep_seconds
        row: list[Any] = []
        waiting = math.ceil(max(keep, WAITING_SECONDS))
        for message in sent.messages:
            due = sent_at(message, self.now_us).eta_us
            ahead = 0 if due is None else math.ceil(max(0, due - self.now_us) / 1_000_000)
            row += message.id, ahead + waiting
        for id_ in sent.steps:
            row += id_, math.ceil(max(keep, STEP_SECONDS))
        return row

    def _unique(self, unique: Unique, effects: Sequence[Effect]) -> Row:
        """The key that is wanted, what taking it keeps, and what becomes the document of a task that is revoked for it."""
        message = message_of(unique, effects)
        hold = hold_of(unique, message, self.now_us)
        row: Row = {
            "key": unique.key,
            "id": unique.id,
            "scope": hold.scope.value,
            "until_us": -1 if hold.until_us is None else hold.until_us,
            "lasts_us": 0 if hold.until_us is None else hold.until_us - self.now_us,
            "look_us": look_us(hold, message, self.now_us),
            "known_seconds": math.ceil((known_us(message, self.now_us) - self.now_us) / 1_000_000),
        }
        if unique.replaces:
            row["document"] = to_text(document_of(NO_ID, Revoked(), now_us=self.now_us))
        return row

    def _ask(self, ask: Ask) -> Row:
        """What is asked, and the two texts that wait if it may not start: one at its turn, one to ask again."""
        message, quota = ask.message, ask.quota
        _, *rest = self._publish(message, 0)
        row: Row = {**claim_row(message), "key": quota.key, "has_turn": ask.has_turn, "publish": rest}
        if quota.concurrency is not None:
            row["concurrency"] = quota.concurrency
        if quota.rate is not None:
            ring = ring_of(quota.rate)
            row |= {"count": ring.count, "window_us": ring.window_us}
            # the script knows the time of its turn, and cannot write it into a text that is signed
            row["at_turn"] = self.series.text(replace(sent_at(message, self.now_us), paced_us=0))
        return row

    def _written(self, document: Document) -> str | int:
        text, method = to_text(document), self.limits.compression
        blob = compressed(text, method) if method else None
        if blob is None:
            return text
        self.blobs.append(blob)
        return 1 + len(self.blobs)

    def effect(self, effect: Effect) -> list[Any]:
        """One effect as the script reads it."""
        match effect:
            case Publish(message, not_before_us):
                return self._publish(message, not_before_us)
            case Settle(id_, outcome, _, attempt):
                document = settled_document(effect, now_us=self.now_us, extended=self.limits.extended)
                number = BY_HAND if attempt is None else attempt
                return ["settle", id_, outcome_text(outcome), self._written(document), number]
            case OpenChain(record):
                return ["open_chain", record.chain_id, records.chain_to_text(record)]
            case CloseChain(chain_id):
                return ["close_chain", chain_id]
            case KeepChain(chain_id):
                return ["keep_chain", chain_id]
            case OpenPlan(plan):
                seconds = math.ceil(self.limits.plan_seconds)
                return ["open_plan", plan.root_id, plan.id, plan_to_text(plan), seconds]
            case Restart(ids, generation, roots):
                return ["restart", generation, roots, *ids]
            case ReopenJoin(join_id, indexes, generation):
                reopened = self.keyring.text(join_message(join_id, generation))
                return ["reopen_join", join_id, reopened, generation, indexes]
            case OpenJoin(record, size, lease_seconds, generation):
                dispatch = join_message(record.join_id, generation)
                lease_us = -1 if lease_seconds is None else round(lease_seconds * 1_000_000)
                texts = (records.join_to_text(record), self.keyring.text(dispatch))
                return [
                    "open_join",
                    record.join_id,
                    *texts,
                    -1 if size is None else size,
                    lease_us,
                    generation,
                ]
            case SealJoin(join_id, size):
                return ["seal_join", join_id, size]
            case GrowJoin(join_id, key, ids):
                revoked = revocation(ids, self.now_us)
                pairs = zip(revoked["ids"], revoked["documents"], strict=True)
                return ["grow_join", join_id, key, *chain.from_iterable(pairs)]
            case AddPart(join_id, index, id_, outcome, completes, key):
                text = records.part_to_text(id_, outcome)
                lost = letter_to_text(part_without_join(join_id, id_, text), self.now_us)
                return ["add_part", join_id, index, text, lost, completes, key]
            case CountPart():
                return count_part(effect, self.keyring, self.now_us)
            case OpenCount():
                return open_count(effect)
            case Revoke(ids):
                revoked = revocation(ids, self.now_us)
                pairs = zip(revoked["ids"], revoked["documents"], strict=True)
                return ["revoke", *chain.from_iterable(pairs)]

    def _publish(self, message: Message, not_before_us: int | None) -> list[Any]:
        message = sent_at(message, self.now_us)
        due = not_before_us if not_before_us is not None else message.eta_us
        text = self.series.text(message)
        return ["publish", message.queue, step_of(message.priority), text, due or 0, message.id]


def outcome_text(outcome: Outcome) -> str:
    """An outcome as it is stored. Always the same text for the same outcome, as the script compares texts."""
    return json.dumps(outcome_to_data(outcome))


def revocation(ids: Sequence[str], now_us: int) -> Row:
    """What the script needs to know to revoke these tasks besides REVOKED: the document of each."""
    documents = [to_text(document_of(id_, Revoked(), now_us=now_us)) for id_ in ids]
    return {"ids": list(ids), "documents": documents}


def claim_row(message: Message) -> Row:
    """What the script needs to know to claim a message."""
    row: Row = {
        "id": message.id,
        "attempt": message.attempt,
        "generation": message.generation,
        "root_id": message.id if message.errback is not None else message.root_id,
    }
    if message.stamps and message.errback is None:
        row["stamps"] = list(stamp_keys(message.stamps))
    return row if message.eta_us is None else {**row, "eta_us": message.eta_us}


def exchange_of(
    reply: Sequence[Any], count: int, claim: Sequence[Taken], keyring: Keyring = NO_KEYS
) -> Exchange:
    """The script's reply; `count` transitions were brought, and `claim` to be claimed (those with a message are in the reply)."""
    _, others, claimed, taken, outbox, holders, admitted = reply
    standing: list[Standing | None] = [None] * count
    for index, outcome, attempt, generation in others:
        standing[index] = Standing(_outcome_of(outcome), attempt, generation)
    verdicts = iter(claimed)
    return Exchange(
        standing,
        [_taken_of(keyring, *row) for row in taken],
        [
            item if item.message is None else replace(item, verdict=verdict_of(next(verdicts)))
            for item in claim
        ],
        [Delivery(_text(tag), OUTBOX, None, _text(text)) for tag, text in outbox],
        {index: _text(id_) for index, id_ in holders},
        [_text(id_) for id_ in admitted],
    )


def is_unread(taken: Taken) -> bool:
    """True for a message that we can read and the script could not."""
    return taken.message is not None and taken.reason == UNREAD


def verdict_of(row: Sequence[Any]) -> Verdict:
    """A verdict as the script writes it."""
    match row:
        case [b"run", lost, started_us]:
            return Run(lost, started_us)
        case [b"settled", outcome, attempt, generation]:
            return Settled(Standing(_outcome_of(outcome), attempt, generation))
        case [b"later", until_us, holder]:
            return Later(until_us, _text(holder))
        case [b"stale"]:
            return Stale()
        case [b"revoked"]:
            return WasRevoked()
        case [b"poison", lost, early]:
            return Poison(lost, early=bool(early))
    raise AssertionError(f"exchange.lua gave a verdict that is not known: {row!r}")


def _taken_of(keyring: Keyring, tag: bytes, queue: bytes, raw: bytes, verdict: Sequence[Any]) -> Taken:
    is_unread, was_early = verdict[0] == b"unread", verdict == [b"unread", 1]
    delivery = Delivery(_text(tag), _text(queue), None, _text(raw))
    taken = decoded(delivery, keyring, is_moved=was_early)
    if taken.message is None:
        return taken
    if is_unread:
        return replace(taken, reason=UNREAD)
    return replace(taken, verdict=verdict_of(verdict))


def _outcome_of(text: bytes) -> Outcome | None:
    return outcome_from_data(parsed(text)) if text else None


def _text(raw: bytes) -> str:
    """Text of anybody's bytes; what is not UTF-8 becomes an escape that no envelope has, so it is refused with its reason."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace")
