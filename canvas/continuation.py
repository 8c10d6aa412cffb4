"""Continuation: what follows a message. PURE data.

Steps that are still to run are stored once, in a chain record or in a join, and a message only says where it stands:

* `Step(chain, i)`: step i of the stored chain is next;
* `Member(join, i)`: the value is part i of the stored join;
* `Inline(steps, below)`: the steps themselves, for short tails, for clients of Celery and where no store exists;
* `Counted(group_id, index, body)`: the value is part `index` of a chord that Celery keeps the books of (see commit/celery_chord.lua).

None means that nothing follows. `ref` is the text of a Step or Member on the wire (decisions K13).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from .json_text import Json, json_value
from .node import Call, Node, Policy
from .trace_context import Trace


class Step(Struct, frozen=True):
    """The next step is number `index` of the stored chain `chain_id`."""

    chain_id: str
    index: int


class Member(Struct, frozen=True):
    """The outcome is part number `index` of the stored join `join_id`; with `hasty` one that failed completes it, whoever is missing.

    With a `key`: of what was added to it under this key while it was open; the store knows which part that is.
    """

    join_id: str
    index: int
    hasty: bool = False
    key: str = ""


class Inline(Struct, frozen=True):
    """The next steps, carried by the message; after them comes `below`."""

    steps: tuple[Node, ...]
    below: Step | Member | None = None


class Counted(Struct, frozen=True):
    """The outcome is counted in the group `group_id` of a chord of Celery's, and who brings the last one sends `body`.

    `body` is a signature as JSON text, "" where it could not be read. An `index` None is behind all others.
    """

    group_id: str
    index: int | None
    body: Json


def counted_of(call: Call) -> Counted | None:
    """The chord of Celery's that `call` is a part of, as Celery's clients say it in the options of a signature; None if of none."""
    body, group_id = call.options.get("chord"), call.options.get("group_id")
    if not body or not group_id:
        return None
    return Counted(group_id, call.options.get("group_index"), json_value(body))


Continuation = Step | Member | Inline | Counted


class ChainRecord(Struct, frozen=True, kw_only=True):
    """A chain as it is stored: its steps, what follows the last one, and whose canvas it belongs to. A group that begins it has no members."""

    chain_id: str
    steps: tuple[Node, ...]
    below: Continuation | None
    root_id: str


class JoinRecord(Struct, frozen=True, kw_only=True):
    """A join as it is stored: what follows when all parts are there. `parent_id` is the task that opened it.

    `members` are the ids of all calls in it, where those that have not started shall not start any more when one has failed.
    `stamps` are what follows is stamped with, and `trace` is the one that it is of.
    """

    join_id: str
    then: Continuation | None
    root_id: str
    parent_id: str | None = None
    policy: Policy = Policy.FAIL
    members: tuple[str, ...] = ()
    stamps: Mapping[str, Any] = field(default_factory=dict)
    trace: Trace = field(default_factory=dict)


Chains = Mapping[str, ChainRecord]
"""Chain records by their ids: those that are at hand."""


def added_member(join_id: str, key: str, *, hasty: bool) -> Member:
    """What was added to a join under this key. Raises ValueError without one."""
    if not key:
        raise ValueError(f"what was added to join {join_id} has no key")
    return Member(join_id, -1, hasty, key)


def may_be_member(then: Continuation | None) -> bool:
    """False if what this follows is surely no member of a group that is waited for; of a stored chain only its record tells."""
    match then:
        case None | Counted():
            return False  # a chord of Celery's has its own books, in which nothing is added
        case Inline(below=below):
            return below is not None
        case Step() | Member():
            return True


def chain_needed(then: Continuation | None) -> str | None:
    """The id of the chain record that it takes to go on to `then`."""
    match then:
        case Step():
            return then.chain_id
        case Inline(below=Step() as below):
            return below.chain_id
    return None


def join_above(then: Continuation | None, chains: Chains) -> Member | None:
    """The place in a join that what has this continuation belongs to, by way of the chains that it is in. Raises KeyError without them."""
    match then:
        case None | Member():
            return then
        case Counted():
            return None
        case Inline(below=below):
            return join_above(below, chains)
        case Step(chain_id):
            return join_above(chains[chain_id].below, chains)


def rest_of(then: Step | Inline, chains: Chains) -> tuple[tuple[Node, ...], Continuation | None]:
    """The steps that are still to run, and what follows the last of them. Raises KeyError without the record."""
    if isinstance(then, Inline):
        return then.steps, then.below
    record = chains[then.chain_id]
    return record.steps[then.index :], record.below


def ref_of(position: Step | Member) -> str:
    """The text of a position: "step:<chain>:<index>", "member:<join>:<index>" or "added:<join>:<key>"; of a hasty one "hasty:..." or
    "hasty-added:...".
    """
    match position:
        case Step():
            return f"step:{position.chain_id}:{position.index}"
        case Member():
            if position.key:
                kind = "hasty-added" if position.hasty else "added"
                return f"{kind}:{position.join_id}:{position.key}"
            kind = "hasty" if position.hasty else "member"
            return f"{kind}:{position.join_id}:{position.index}"


def position_of(ref: str) -> Step | Member:
    """The inverse of `ref_of`. Raises ValueError for any other text."""
    kind, id_, index = ref.split(":")
    match kind:
        case "step":
            return Step(id_, int(index))
        case "member" | "hasty":
            return Member(id_, int(index), hasty=kind == "hasty")
        case "added" | "hasty-added":
            return added_member(id_, index, hasty=kind == "hasty-added")
    raise ValueError(f"not a position: {ref!r}")
