"""Taken: a message as a worker gets it: as it was delivered, decoded, and with the verdict about it.

`decoded` is the way from a delivery to it: the signature is verified first, and what cannot be read is told apart from what must not be
believed.
"""

from __future__ import annotations

from msgspec import Struct

from ..delivery import Delivery
from ..envelope import unpack
from ..errors import MessageError, SignatureError
from ..message import Message
from ..signing import NO_KEYS, Key, Keyring, permit
from ..stub import stub_of
from ..usual import usual_message, usual_of_wire
from ..wire import Wire, from_wire
from .role import OUTBOX
from .verdict import Run, Verdict


class Taken(Struct, frozen=True):
    """A message that was taken, with its verdict; `message` None and `reason` where it could not be decoded.

    `forged`: it must not be believed, so the id that it names is not told: whose task that is, it must not be touched. `stub`: what its
    headers alone say, where its body cannot be read and something depends on it.
    """

    delivery: Delivery
    message: Message | None
    verdict: Verdict
    reason: str = ""
    task_id: str | None = None
    forged: bool = False
    stub: Message | None = None

    @property
    def suspect(self) -> bool:
        """A process died while it held this, so it may have been this that ended it."""
        return isinstance(self.verdict, Run) and self.verdict.lost > 0


def decoded(delivery: Delivery, keyring: Keyring = NO_KEYS, *, is_moved: bool = False) -> Taken:
    """A delivery with its message, before anything is known about it; with the reason where it is not a task message.

    Its signature is verified before its body is parsed, if there are keys. `is_moved`: it comes by another queue than it was sent
    to, as all do from the outbox.
    """
    try:
        return _decoded(delivery, keyring, is_moved or delivery.queue == OUTBOX)
    except SignatureError as error:
        return Taken(delivery, None, Run(), f"it is not to be believed: {error}", forged=True)


def _decoded(delivery: Delivery, keyring: Keyring, is_moved: bool) -> Taken:
    wire: Wire | None = delivery.wire
    key: Key | None = None
    queue = delivery.queue
    if not (keyring.signs or is_moved):
        usual = usual_message(delivery.text, queue) if wire is None else usual_of_wire(wire, queue)
        if usual is not None:
            return Taken(delivery, usual, Run())
    try:
        wire = wire or unpack(delivery.raw)
        queue = _sent_to(wire) if is_moved else queue
        key = keyring.verify(wire, queue)
        message = from_wire(wire, queue, is_moved=is_moved)
    except SignatureError:
        raise
    except MessageError as error:
        if keyring.signs and wire is None:  # an envelope that cannot be read is signed by nobody
            return Taken(delivery, None, Run(), str(error), forged=True)
        stub = stub_of(error.task_id, error.headers, queue) if error.task_id else None
        if stub is not None:
            permit(key, stub)  # it may bring error callbacks along
        return Taken(delivery, None, Run(), str(error), error.task_id, stub=stub)
    permit(key, message)
    return Taken(delivery, message, Run())


def _sent_to(wire: Wire) -> str:
    try:
        return str(wire.properties["delivery_info"]["routing_key"])
    except (KeyError, TypeError) as error:
        raise MessageError("a message in the outbox does not say where it is going") from error
