"""Unstorable: what is brought in place of a transition that its store refuses for what it says (decisions K18)."""

from __future__ import annotations

from msgspec.structs import replace

from .commit.taken import Taken
from .commit.transition import Transition
from .commit.verdict import Run
from .json_text import json_list, json_string
from .outcome import Error, Failure, Outcome
from .perform import Performer

_TYPE, _MODULE = "EncodeError", "backbeat.canvas.errors"


def instead_of(transition: Transition, error: Exception, performer: Performer) -> Transition | None:
    """Its task ends as failed, or what was to follow its join; where not even that could be stored, what would follow is given up and the message kept as a dead letter.

    None if there is nothing more to try: its message comes back after its lease.
    """
    message, delivery = transition.message, transition.delivery
    if message is None or delivery is None or transition.dead is not None:
        return None
    taken, failure = Taken(delivery, message, Run()), _failure(error)
    if transition.closes is not None:
        return performer.given_up(transition, failure)
    if _is_refused(transition.outcome):
        return performer.dead(taken, replace(message, then=None, link=(), link_error=()), failure)
    return performer.finished(taken, message, failure)


def _failure(error: Exception) -> Failure:
    said = (str(error).splitlines() or [""])[0][:500]
    text = f"what followed the task cannot be stored: {type(error).__name__}: {said}"
    args = json_list([json_string(text)])
    return Failure(error=Error(type=_TYPE, module=_MODULE, args=args, text=text))


def _is_refused(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Failure) and (outcome.error.type, outcome.error.module) == (_TYPE, _MODULE)
