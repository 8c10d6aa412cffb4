"""Records: chains, joins, parts and outcomes as the text that stores keep. Versioned by `VERSION`; new code reads old text. PURE."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..continuation import (
    ChainRecord,
    Continuation,
    Counted,
    Inline,
    JoinRecord,
    Member,
    Step,
    position_of,
    ref_of,
)
from ..effect import Part
from ..errors import DecodeError
from ..json_text import json_value, parsed
from ..node import Policy
from ..node_data import node_from_data, node_to_data
from ..outcome import Failure, Success, outcome_from_data, outcome_to_data

VERSION = 1


def chain_to_text(record: ChainRecord) -> str:
    """A chain record as text."""
    return json.dumps(
        {
            "v": VERSION,
            "id": record.chain_id,
            "root": record.root_id,
            "steps": [node_to_data(step, json.loads) for step in record.steps],
            "below": _continuation_to_data(record.below),
        }
    )


def chain_from_text(text: str | bytes) -> ChainRecord:
    """The inverse of `chain_to_text`."""
    data = _checked(text)
    return ChainRecord(
        chain_id=data["id"],
        root_id=data["root"],
        steps=tuple(node_from_data(step, json_value) for step in data["steps"]),
        below=_continuation_from_data(data["below"]),
    )


def join_to_text(record: JoinRecord) -> str:
    """A join record as text."""
    data = {
        "v": VERSION,
        "id": record.join_id,
        "root": record.root_id,
        "parent": record.parent_id,
        "then": _continuation_to_data(record.then),
    }
    if record.policy is not Policy.FAIL:
        data["policy"] = record.policy.value
    if record.members:
        data["members"] = list(record.members)
    if record.stamps:
        data["stamps"] = dict(record.stamps)
    if record.trace:
        data["trace"] = dict(record.trace)
    return json.dumps(data)


def join_from_text(text: str | bytes) -> JoinRecord:
    """The inverse of `join_to_text`."""
    data = _checked(text)
    return JoinRecord(
        join_id=data["id"],
        root_id=data["root"],
        parent_id=data["parent"],
        then=_continuation_from_data(data["then"]),
        policy=Policy(data.get("policy", Policy.FAIL)),
        members=tuple(data.get("members", ())),
        stamps=data.get("stamps", {}),
        trace=data.get("trace", {}),
    )


def added_in(text: str) -> list[str]:
    """The keys of what a join was grown by (growth.py), of its record's text, where a store keeps them there."""
    return list(json.loads(text).get("added", ()))


def with_added(text: str, key: str) -> str:
    """The text of a join's record, grown by one more part."""
    data = json.loads(text)
    return json.dumps({**data, "added": [*data.get("added", ()), key]})


def part_to_text(id_: str, outcome: Success | Failure) -> str:
    """A part of a join, without its index, as text."""
    return json.dumps({"id": id_, "outcome": outcome_to_data(outcome)})


def part_from_text(index: int, text: str | bytes) -> Part:
    """The inverse of `part_to_text`."""
    data = parsed(text)
    outcome = outcome_from_data(data["outcome"])
    assert isinstance(outcome, Success | Failure)
    return Part(index, data["id"], outcome)


def _checked(text: str | bytes) -> Mapping[str, Any]:
    data: Mapping[str, Any] = parsed(text)
    if data.get("v") != VERSION:
        raise DecodeError(
            f"a stored record has version {data.get('v')}, this backbeat reads {VERSION}: upgrade all workers"
        )
    return data


def _continuation_to_data(then: Continuation | None) -> Any:
    match then:
        case None:
            return None
        case Step() | Member():
            return ref_of(then)
        case Counted(group_id, index, body):
            return {"group": group_id, "index": index, "body": body}
        case Inline(steps, below):
            return {
                "steps": [node_to_data(step, json.loads) for step in steps],
                "below": None if below is None else ref_of(below),
            }


def _continuation_from_data(data: Any) -> Continuation | None:
    if data is None:
        return None
    if isinstance(data, str):
        return position_of(data)
    if "group" in data:
        return Counted(data["group"], data["index"], data["body"])
    steps = tuple(node_from_data(step, json_value) for step in data["steps"])
    below = data["below"]
    return Inline(steps, None if below is None else position_of(below))
