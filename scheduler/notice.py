"""Notice: what somebody outside is to be told of a schedule: by a webhook of it, or by a ping. PURE.

A beat records notices in the transaction that records what they tell of, so that no crash loses one; courier.py delivers them. Their ids derive
from what they tell of, so that recording twice is recording once.

    late      a firing was not sent within its `late_after`, or where that is not said its `grace`: it was later, or waits still
    missed    fire times are not sent, and why (skip.py); not those that somebody wanted passed over
    failed    a firing cannot be sent, or nobody knows whether it was, and it may go out once only
    ping      a firing was sent: a GET without a payload
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..canvas.ids import derive
from ..canvas.message import iso_of_us
from ..canvas.webhook.payload import event_payload
from .entry import SECOND_US, Tells
from .firing import Firing, FiringKind, FiringState, derive_task_id
from .skip import Skip, SkipReason

PING = "ping"
_DOUBTFUL = "nobody knows whether the broker has it, and it may go out once only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One delivery. `body` is the payload, "" for a ping. `entry` is "" for what is told of no schedule."""

    id: str
    event: str
    entry: str
    url: str
    body: str
    at_us: int


def sent_notices(firing: Firing, now_us: int) -> tuple[Notice, ...]:
    """What a firing that was confirmed just now makes known."""
    tells = firing.terms.tells
    if tells is None:
        return ()
    found: list[Notice] = []
    if tells.ping_start:
        id_ = derive(firing.task_id, PING)
        found.append(
            Notice(id=id_, event=PING, entry=firing.entry, url=tells.ping_start, body="", at_us=now_us)
        )
    return (*found, *late_notices(firing, now_us, is_sent=True))


def late_notices(firing: Firing, now_us: int, *, is_sent: bool) -> tuple[Notice, ...]:
    """What a firing makes known that is late by now; it is told once, though it may not be sent for long."""
    tells, lateness_us = firing.terms.tells, now_us - firing.due_us - firing.hold_us
    if tells is None or "late" not in tells.webhook_on or lateness_us <= tells.late_us:
        return ()
    facts = {**_facts(firing), "lateness_seconds": lateness_us / SECOND_US, "sent": is_sent}
    return (_notice(derive(firing.task_id, "late"), "late", firing.entry, tells, now_us, facts),)


def ended_notices(firing: Firing, after: FiringState, reason: str, now_us: int) -> tuple[Notice, ...]:
    """What a firing that is in this state from now on makes known; now_us 0: nobody knows when that was."""
    tells, event = firing.terms.tells, _EVENTS.get(after)
    if after is FiringState.SENT:
        return sent_notices(firing, now_us)
    if tells is None or event is None or event not in tells.webhook_on:
        return ()
    facts = {**_facts(firing), "reason": _DOUBTFUL if after is FiringState.DOUBTFUL else reason}
    id_ = derive(firing.task_id, event)
    return (_notice(id_, event, firing.entry, tells, now_us or firing.due_us, facts),)


def skip_notices(cluster: str, skips: Iterable[Skip], tells: Tells | None, now_us: int) -> Iterator[Notice]:
    """What fire times of one entry make known that were skipped before they were firings."""
    if tells is None or "missed" not in tells.webhook_on:
        return
    for skip in skips:
        if skip.reason is SkipReason.OPERATOR:
            continue
        key = f"missed:{skip.from_us}"
        facts = {
            "schedule": skip.entry,
            "fire_time": iso_of_us(skip.from_us),
            "until": iso_of_us(skip.to_us),
            "count": skip.count,
            "reason": skip.reason.value,
            "detail": skip.detail,
        }
        id_ = derive_task_id(cluster, skip.entry, FiringKind.REGULAR, key, skip.from_us)
        yield _notice(id_, "missed", skip.entry, tells, now_us, facts)


_EVENTS = {
    FiringState.FAILED: "failed",
    FiringState.DOUBTFUL: "failed",
    FiringState.SKIPPED: "missed",
}


def _facts(firing: Firing) -> dict[str, object]:
    return {
        "schedule": firing.entry,
        "task_id": firing.task_id,
        "fire_time": iso_of_us(firing.due_us),
        "kind": firing.kind.value,
    }


def _notice(id: str, event: str, entry: str, tells: Tells, at_us: int, facts: Mapping[str, object]) -> Notice:
    body = event_payload(id, event, iso_of_us(at_us), facts)
    return Notice(id=id, event=event, entry=entry, url=tells.webhook_url, body=body, at_us=at_us)
