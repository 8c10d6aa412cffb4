"""Dead letters: what no worker could run, what tasks refused, and what took too many workers with it; to be read, run again or dropped.

A letter holds its message whole. To run it again is one commit: the letter goes, and the message comes, in the next generation, so that
the outcome that it had stands no longer in the way (decisions K6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from .commit.base import DeadLetterCommit
from .commit.dead_letter import DeadLetters, KeptLetter
from .commit.transition import Transition
from .effect import Publish
from .envelope import unpack
from .errors import MessageError, SignatureError
from .message import CONTROL_QUEUE, Message
from .signing import NO_KEYS, Keyring, permit
from .wire import from_wire

PAGE = 200
"""Letters that are read at once."""


class Reading(Struct, frozen=True):
    """A dead letter, read: its message, or None and `fault` where it is none; `forged` says why it must not be believed."""

    kept: KeptLetter
    message: Message | None
    fault: str = ""
    forged: str = ""

    @property
    def queue(self) -> str:
        """Where it came from; empty if that is not known."""
        return self.kept.letter.queue or (self.message.queue if self.message else "")


def read(kept: KeptLetter, keyring: Keyring = NO_KEYS) -> Reading:
    """What the letter holds, and whether a key of `keyring` has signed it."""
    forged = ""
    try:
        wire = unpack(kept.letter.raw)
        queue = kept.letter.queue or str(wire.properties.get("delivery_info", {}).get("routing_key") or "")
        message = from_wire(wire, queue)
        try:
            permit(keyring.verify(wire, CONTROL_QUEUE if message.guards is not None else queue), message)
        except SignatureError as error:
            forged = str(error)
    except (MessageError, AttributeError) as error:
        return Reading(kept, None, str(error))
    return Reading(kept, replace(message, queue=message.guards or message.queue, guards=None), forged=forged)


def all_letters(letters: DeadLetters) -> Iterator[KeptLetter]:
    """All of them, the newest first."""
    before = ""
    while page := letters.dead_letters(PAGE, before):
        yield from page
        before = page[-1].key


def requeue(commit: DeadLetterCommit, reading: Reading) -> bool:
    """Send the message of a letter again, as if it were new: without delay or expiry, its attempts counted anew.

    False if the letter is gone, so that somebody else has decided about it. Raises MessageError for a letter without a message, or with one that must
    not be believed: sent again it would be signed.
    """
    if reading.message is None:
        raise MessageError(f"dead letter {reading.kept.key} holds no task message: {reading.fault}")
    if reading.forged:
        raise MessageError(f"dead letter {reading.kept.key} is not to be believed: {reading.forged}")
    again = replace(
        reading.message,
        generation=reading.message.generation + 1,
        attempt=0,
        first_attempt=0,
        eta_us=None,
        expires_us=None,
    )
    if commit.dead_letter(reading.kept.key) is None:
        return False
    commit.exchange([Transition(effects=(Publish(again),), digs_up=reading.kept.key)])
    return True


def drop(
    letters: DeadLetters, keys: Sequence[str], told: Callable[[int], object] = lambda _count: None
) -> int:
    """Delete letters; how many there were. `told` hears after each page how many keys it had."""
    dropped = 0
    for first in range(0, len(keys), PAGE):
        page = keys[first : first + PAGE]
        dropped += letters.drop_dead(page)
        told(len(page))
    return dropped
