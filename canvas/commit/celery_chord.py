"""CeleryChord: a part of a chord of Celery's as its workers count it. See celery_chord.lua."""

from __future__ import annotations

import json
from typing import Any

from ..effect import CountPart, OpenCount
from ..mark import plain
from ..outcome import Success
from ..own_tasks import chord_message
from ..results.document import error_to_celery
from ..signing import Keyring
from .dead_letter import DeadLetter
from .redis_dead import letter_to_text


def count_part(part: CountPart, keyring: Keyring, now_us: int) -> list[Any]:
    """The effect as the script reads it."""
    chord = part.chord
    message = chord_message(chord, part.root_id, part.id, part.trace)
    index = "+inf" if chord.index is None else str(chord.index)
    text = keyring.text(message) if chord.body else ""
    member = member_of(part)
    reason = f"no message of chord {chord.group_id} could be read, so what was to follow it is not known"
    letter = letter_to_text(DeadLetter(reason, member, part.id), now_us)
    return ["count_part", chord.group_id, part.id, index, member, message.id, text, letter]


def open_count(opened: OpenCount) -> list[Any]:
    """The effect as the script reads it."""
    return ["open_count", opened.group_id, opened.size]


def member_of(part: CountPart) -> str:
    """What Celery's worker would write of this part: `[1, id, state, result]`."""
    if isinstance(part.outcome, Success):
        state, result = "SUCCESS", str(plain(part.outcome.value))
    else:
        state, result = "FAILURE", json.dumps(error_to_celery(part.outcome.error))
    return f'[1, {json.dumps(part.id)}, "{state}", {result}]'
