"""Pipe: what `left | right` is, in strict mode and in Celery's (decisions K23).

In strict mode `|` is associative: what is written with any brackets comes to the same steps, and a group always gives a list. In
Celery's mode the trees are those that Celery 5.7 builds, all 81 pairs of them (tests/data): its programs may look into what they composed.
"""

from __future__ import annotations

from typing import Any

from .signature import Signature


def piped(left: Signature, right: Signature) -> Signature:
    """`left | right`: a group followed by anything is a chord, what follows a chord joins its body, all else is a chain."""
    if _is_empty_chain(right):
        return left
    if _kind(left) == "group":
        return _chord(left, right)
    if _kind(left) == "chord" and _kind(right) not in ("group", "chord"):
        return _on_body(left, right)
    return _chain(left, [*_steps(left), *_steps(right)])


def piped_as_celery(left: Signature, right: Signature) -> Signature:
    """`left | right` as Celery 5.7 builds it."""
    match _kind(left):
        case "group":
            return left if _is_empty_group(right) else _chord(left, right)
        case "chord":
            return _after_chord(left, right)
        case "chain" if _members(left):
            return _chain(left, _folded(_steps(left), _steps(right)))
        case "chain":
            return (
                right
                if _kind(right) == "group" and len(_members(right)) > 1
                else _chain(left, _folded([], _steps(right)))
            )
    return _chain(left, [left, *map(_alone, _steps(right))])


def _after_chord(left: Signature, right: Signature) -> Signature:
    """A single step, and another chord, join the body; all else comes after the chord."""
    step = _alone(right)
    if _kind(step) in ("chain", "group"):
        return _chain(left, [left, *_steps(step)])
    return _on_body(left, step)


def _folded(steps: list[Signature], more: list[Signature]) -> list[Signature]:
    """`steps` with `more` behind them, one by one: what follows a group becomes its body, what follows a chord joins its body."""
    folded = list(steps)
    for each in more:
        step = _alone(each)
        before = _kind(folded[-1]) if folded else None
        if _is_empty_group(step):
            continue
        if before == "group" and _kind(step) != "group":
            folded[-1] = _chord(folded[-1], step)
        elif before == "chord" and _kind(step) != "chord":
            folded[-1] = _on_body(folded[-1], step)
        else:
            folded.append(step)
    return folded


def _alone(sig: Signature) -> Signature:
    """The member of a group of one, which as a step gives its value and no list; anything else as it is."""
    return _members(sig)[0] if _kind(sig) == "group" and len(_members(sig)) == 1 else sig


def _on_body(left: Signature, right: Signature) -> Signature:
    left["kwargs"]["body"] = left["kwargs"]["body"] | right
    return left


def _kind(sig: Signature) -> str | None:
    kind: str | None = sig["subtask_type"]
    return kind


def _is_empty_chain(sig: Signature) -> bool:
    return _kind(sig) == "chain" and not _members(sig)


def _is_empty_group(sig: Signature) -> bool:
    return _kind(sig) == "group" and not _members(sig)


def _members(sig: Signature) -> list[Signature]:
    members: list[Signature] = sig["kwargs"]["tasks"]
    return members


def _steps(sig: Signature) -> list[Signature]:
    """The steps of a chain that has no options of its own; they would be lost if it were spliced."""
    return _members(sig) if _kind(sig) == "chain" and not sig.options else [sig]


def _chain(of: Signature, steps: list[Signature]) -> Signature:
    kind: Any = Signature.TYPES["chain"]
    chain: Signature = kind(*steps, app=of.own_app)
    return chain


def _chord(header: Signature, body: Signature) -> Signature:
    kind: Any = Signature.TYPES["chord"]
    chord: Signature = kind(header, body, app=header.own_app)
    return chord
