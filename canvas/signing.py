"""Signing: who has a key can make messages that workers believe; who has none can neither make nor change one.

A message is signed when it leaves, with the first key, and verified before anything else is done with it: before its body is parsed
and before its id is claimed. The HMAC-SHA256 covers the queue, all headers but `redelivered` and those that begin with `x-` (which
brokers add; a user's own of that kind are not covered either), content type and encoding, reply address, and the body with what
follows: two fields, each with its length in front, the first of them JSON with sorted names, so that no two messages have one
encoding. Without keys nothing is signed and everything is accepted.

A replayed message is the same run again (id, generation, attempt) and is answered by its stored outcome for as long as that is kept;
`expires` is signed, too, and bounds it for good.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from .continuation import Counted, Inline, counted_of
from .envelope import pack
from .errors import EncodeError, ImproperlyConfigured, SignatureError
from .json_text import Json, json_value
from .message import CONTROL_QUEUE, MAX_BYTES, Message
from .node import Call, Node, callbacks, calls
from .node_data import node_from_data
from .own_tasks import CHORD_TASK, JOIN_TASK, START_TASK
from .replacing import VALUE_TASK
from .wire import SIGNATURE, Wire, sent_to, to_wire

SHORTEST_SECRET = 16
"""Bytes of a secret, at least; write 32 random ones (`python -c "import secrets; print(secrets.token_hex(32))"`)."""
VERSION = "1"
_LABEL = "backbeat message 1"
"""What is signed begins with it, so that a signature can never be taken for one of something else."""
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_UNSIGNED = frozenset([SIGNATURE, "redelivered"])
"""Headers that may change on the way; and those that begin with `x-`, which brokers add."""
_ANY = ("*",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A secret with a name, and what its messages may name: patterns of tasks and of queues, as in `task_routes`."""

    id: str
    secret: bytes = field(repr=False)
    tasks: tuple[str, ...] = _ANY
    queues: tuple[str, ...] = _ANY

    @property
    def is_limited(self) -> bool:
        """Whether there is anything that it may not send."""
        return (self.tasks, self.queues) != (_ANY, _ANY)

    def objection(self, task: str, queue: str | None) -> str | None:
        """Why it may not send this task to this queue (None: wherever the worker's routes say); None if it may."""
        if task in (CHORD_TASK, JOIN_TASK, START_TASK, VALUE_TASK) and queue == CONTROL_QUEUE:
            # a join does nothing before its parts are there, nor a chord, whose body is judged itself; what a start starts is judged itself; a value any task could return
            return None
        if not any(fnmatchcase(task, pattern) for pattern in self.tasks):
            return f"key {self.id!r} may not send task {task!r:.200}"
        if queue is not None and not any(fnmatchcase(queue, pattern) for pattern in self.queues):
            return f"key {self.id!r} may not send to queue {queue!r:.200}"
        return None

    def objection_to(self, message: Message) -> str | None:
        """The same for a message and everything that it brings along: steps, callbacks, a canvas to be started."""
        if not self.is_limited:
            return None
        found = [self.objection(message.task, message.queue)]
        found += [self.objection(call.task, call.options.get("queue") or None) for call in _brought(message)]
        return next((objection for objection in found if objection is not None), None)


class Keyring:
    """The keys of an app: the first signs, all verify. Immutable; of no keys at all it lets everything pass."""

    def __init__(self, keys: Sequence[Key] = (), *, accept_unsigned: bool = False) -> None:
        self._keys = {key.id: key for key in keys}
        self._first = keys[0] if keys else None
        self._accept_unsigned = accept_unsigned

    @property
    def signs(self) -> bool:
        """Whether there are keys."""
        return self._first is not None

    # --- out -----------------------------------------------------------------------------------------------------------------

    def wire(self, message: Message) -> Wire:
        """A message as it leaves, signed if there are keys. Raises EncodeError for what the first key may not send."""
        wire = to_wire(message)
        if self._first is None:
            return wire
        if (objection := self._first.objection_to(message)) is not None:
            raise EncodeError(f"{objection}: change its rights, or sign with another key")
        return with_signature(wire, self.signature(self.head(wire, message.queue), wire.body))

    def text(self, message: Message) -> str:
        """The same as the envelope text that lists and tables hold."""
        return pack(self.wire(message), message.queue)

    def head(self, wire: Wire, queue: str) -> str:
        """All that the first key signs of a message to `queue`, but for its body."""
        assert self._first is not None
        # as the receiver will find them: in JSON all names are texts
        return _head(self._first, json.loads(json.dumps(wire.headers)), wire.properties, queue)

    def signature(self, head: str, body: bytes) -> str:
        """The value of the header `backbeat_signature`."""
        assert self._first is not None
        return f"{VERSION}:{self._first.id}:{_mac(self._first, head, body)}"

    # --- in ------------------------------------------------------------------------------------------------------------------

    def verify(self, wire: Wire, queue: str) -> Key | None:
        """The key that signed what was delivered from `queue`; None if it need not be signed.

        Nothing of the body is read. Raises SignatureError for what must not be believed; its text holds neither key nor MAC.
        """
        if self._first is None:
            return None
        given = wire.headers.get(SIGNATURE)
        if given is None:
            if self._accept_unsigned:
                return None
            raise SignatureError("it is not signed")
        version, key, mac = self._parts(given)
        if len(wire.body) > MAX_BYTES:
            raise SignatureError(f"its body has {len(wire.body)} bytes, more than {MAX_BYTES}")
        try:
            head = _head(key, wire.headers, wire.properties, sent_to(wire.headers, queue))
        except (TypeError, ValueError, RecursionError):
            raise SignatureError("its headers cannot be verified") from None
        if version != VERSION or not hmac.compare_digest(_mac(key, head, wire.body), mac):
            text = f"its signature with key {key.id!r} does not fit: it was changed, or it was sent to another queue"
            raise SignatureError(text)
        if (objection := key.objection(str(wire.headers.get("task")), queue)) is not None:
            raise SignatureError(objection)
        return key

    def _parts(self, given: object) -> tuple[str, Key, str]:
        match given.split(":") if isinstance(given, str) and given.isascii() else None:
            case [version, id_, mac]:
                if id_ in self._keys:
                    return version, self._keys[id_], mac
                raise SignatureError(f"it is signed with a key that is not known here: {id_[:64]!r}")
        raise SignatureError("its signature cannot be read")


NO_KEYS = Keyring()
"""Signs nothing and believes everything."""


def permit(key: Key | None, message: Message) -> None:
    """Raises SignatureError if a verified message brings something along that its key may not send."""
    if key is not None and (objection := key.objection_to(message)) is not None:
        raise SignatureError(objection)


def with_signature(wire: Wire, text: str) -> Wire:
    """`wire` with `text` as its signature, in front of all other headers."""
    headers = {name: value for name, value in wire.headers.items() if name != SIGNATURE}
    return Wire({SIGNATURE: text, **headers}, wire.properties, wire.body)


def keys_of(setting: Mapping[str, Any]) -> list[Key]:
    """The keys of a map from their ids to secrets, or to maps with `secret`, and `tasks` and `queues` where these are limited.

    Raises ImproperlyConfigured, with no part of any secret.
    """
    if not isinstance(setting, Mapping):
        raise ImproperlyConfigured("security_keys is a map from key ids to secrets, or the path of a file")
    if not setting:
        raise ImproperlyConfigured("security_keys has no keys: give at least one, or leave the setting out")
    return [_key_of(id_, value) for id_, value in setting.items()]


def _key_of(id_: object, value: object) -> Key:
    if not isinstance(id_, str) or not _KEY_ID.fullmatch(id_):
        # not shown: somebody may have put the secret here
        raise ImproperlyConfigured("security_keys: a key's id is 1 to 64 letters, digits, dots, - or _")
    known = dict(value) if isinstance(value, Mapping) else {"secret": value}
    secret = known.pop("secret", None)
    raw = secret.encode() if isinstance(secret, str) else secret
    if not isinstance(raw, bytes) or len(raw) < SHORTEST_SECRET:
        raise ImproperlyConfigured(
            f"security_keys: the secret of key {id_!r} is a text of at least {SHORTEST_SECRET} characters"
        )
    tasks, queues = (
        _patterns(known.pop(name, _ANY), f"{name} of key {id_!r}") for name in ("tasks", "queues")
    )
    if known:
        raise ImproperlyConfigured(
            f"security_keys: key {id_!r} has secret, tasks and queues, and nothing else"
        )
    return Key(id=id_, secret=raw, tasks=tasks, queues=queues)


def _patterns(value: object, what: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ImproperlyConfigured(f"security_keys: {what} is a list of patterns")
    return tuple(value)


def _head(key: Key, headers: Mapping[str, Any], properties: Mapping[str, Any], queue: str) -> str:
    signed = {
        name: value for name, value in headers.items() if name not in _UNSIGNED and not name.startswith("x-")
    }
    kind = [properties.get("content_type"), properties.get("content_encoding")]
    fields = [_LABEL, key.id, queue, *kind, properties.get("reply_to") or "", signed]
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def _mac(key: Key, head: str, body: bytes) -> str:
    mac = hmac.new(key.secret, digestmod="sha256")
    for part in (head.encode(), body):
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return mac.hexdigest()


def _brought(message: Message) -> Iterator[Call]:
    """The calls that a message brings along, with their callbacks. Raises SignatureError for a start that cannot be read."""
    nodes: list[Node] = [*message.link, *message.link_error]
    if isinstance(message.then, Inline):
        nodes += message.then.steps
    if message.tail is not None:
        nodes += [node_from_data(each, json_value) for each in json.loads(message.tail)]
    if isinstance(message.then, Counted):
        nodes += _body(message.then)
    if message.task in (START_TASK, CHORD_TASK):
        try:
            data = json.loads(message.args)[-1]
            nodes.append(node_from_data(data, lambda value: Json(json.dumps(value))))
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
            raise SignatureError("it starts a canvas that cannot be read") from None
    while nodes:
        node = nodes.pop()
        for call in calls(node):
            yield call
            nodes += _body(counted_of(call))
        nodes += callbacks(node)


def _body(chord: Counted | None) -> list[Node]:
    if chord is None or not chord.body:
        return []
    try:
        return [node_from_data(json.loads(chord.body), json_value)]
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
        raise SignatureError("it is a part of a chord whose body cannot be read") from None
