"""Stamp: labels that a task carries, and all that it sends; by them it is found, and revoked. PURE.

In the options of a call they lie as Celery puts them: `stamped_headers` is the list of their names, and each is an option of its own. A
message has them in two headers, `stamped_headers` and `stamps`. A value is what JSON has, mostly a text; a list is several values.

Whatever a stamped task sends gets its stamps, but for those of a name that it has itself; what follows a group has those that all
members have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from .node import Call, Chain, Group, Node, Tap

STAMPED = "stamped_headers"
Stamps = Mapping[str, Any]
_PREFIX = "stamp:"


def stamps_in(options: Mapping[str, Any]) -> dict[str, Any]:
    """The stamps among the options of a call."""
    names = options.get(STAMPED)
    return {name: options[name] for name in names if name in options} if names else {}


def stamps_of_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The stamps of a message, by its headers. Raises TypeError for what is none."""
    names, stamps = headers.get(STAMPED), headers.get("stamps")
    if not names or not stamps:
        return {}
    if not isinstance(names, list | tuple) or not isinstance(stamps, Mapping):
        raise TypeError(f"stamped_headers is a list and stamps a map, found {names!r:.80} and {stamps!r:.80}")
    return {str(name): stamps[name] for name in names if name in stamps}


def with_stamps(options: Mapping[str, Any], stamps: Stamps) -> dict[str, Any]:
    """`options` with those stamps that they do not have yet."""
    own = options.get(STAMPED) or ()
    more = {name: value for name, value in stamps.items() if name not in own}
    return {**options, **more, STAMPED: [*own, *more]} if more else dict(options)


def overlaid(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` over `options`; but a group that is known stays, and so do stamps, to which others come (canvas.md, rule S4)."""
    kept = {name: options[name] for name in ("group_id", STAMPED, *stamps_in(options)) if name in options}
    return with_stamps({**options, **given, **kept}, stamps_in(given))


def stamped(node: Node, stamps: Stamps) -> Node:
    """`node` with these stamps on each call of it; callbacks get them from those that call them."""
    if not stamps:
        return node
    match node:
        case Call():
            return replace(node, options=with_stamps(node.options, stamps))
        case Chain():
            return replace(node, steps=tuple(stamped(step, stamps) for step in node.steps))
        case Group():
            return replace(node, members=tuple(stamped(member, stamps) for member in node.members))
        case Tap():
            return node


def last_stamps(node: Node) -> Stamps:
    """Those that what follows `node` gets from it."""
    match node:
        case Call():
            return stamps_in(node.options)
        case Chain():
            found: dict[str, Any] = {}
            for step in node.steps:
                found |= last_stamps(step)
            return found
        case Group():
            return common_stamps(node)
        case Tap():
            return {}


def common_stamps(group: Group) -> Stamps:
    """The stamps that all members have, with the same value."""
    common: Stamps = last_stamps(group.members[0]) if group.members else {}
    for member in group.members[1:]:
        if not common:
            break
        stamps = last_stamps(member)
        common = {name: value for name, value in common.items() if name in stamps and stamps[name] == value}
    return common


# --- revoking ------------------------------------------------------------------------------------------------------------------


def stamp_keys(stamps: Stamps) -> Iterator[str]:
    """The keys by which a task with these stamps is revoked: one for each value. envelope.lua makes the same ones."""
    for name, value in stamps.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            text = f"t{each}" if isinstance(each, str) else f"j{json.dumps(each, sort_keys=True)}"
            told = f"{name}\n{text}".encode("utf-8", "surrogatepass")
            yield _PREFIX + hashlib.sha1(told, usedforsecurity=False).hexdigest()


def is_stamp_key(id_: str) -> bool:
    """Whether what is revoked is a stamp, and no task: nothing can be stored as its outcome."""
    return id_.startswith(_PREFIX)
