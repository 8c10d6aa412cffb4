"""Series: the texts of messages that come one after the other and are alike, as the members of a group are, and the calls of one task.

Members of one group that call one task differ in their ids, their places and their arguments; single calls in their ids and arguments. The
second of them is encoded with blanks for these, and then the others are that text, filled: byte for byte what `Keyring.text` gives, in a
fifth of the time. Where anything else in them looks like a blank, each is encoded for itself.

template.py does the same for what a beat sends again and again; there it is known beforehand what is alike, and it is more.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii

from msgspec import Struct
from msgspec.structs import replace

from .continuation import Member, ref_of
from .envelope import pack
from .ids import derive
from .json_text import EMPTY_LIST, EMPTY_MAP, Json, json_string
from .mark import is_marked
from .message import Message
from .own_tasks import FAILED_TASK, NEXT_TASK
from .signing import Keyring
from .wire import repr_of, to_wire

_ID, _ARGS, _KWARGS = "\1id\1", Json("\1args\1"), Json("\1kwargs\1")
_INDEX = 4_102_444_800_000_001
"""A place that no member has, to be found again in a text."""


class Series:
    """Used by one thread. Where messages are signed each is encoded for itself, as its signature is its own."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._shape: Message | None = None
        self._form: _Form | None = None
        """None, too, where this shape has none."""
        self._is_first = False

    def text(self, message: Message) -> str:
        """What lists and tables hold of `message`. Raises EncodeError for what the first key may not send."""
        shape = None if self._keyring.signs else _shape_of(message)
        if shape is None or self._shape is None or not _is_same(shape, self._shape):
            self._shape, self._form, self._is_first = shape, None, True
        elif self._is_first:
            self._form, self._is_first = _form_of(message), False
        return self._keyring.text(message) if self._form is None else self._form.filled(message)


def _shape_of(message: Message) -> Message | None:
    """The message without what a form has blanks for; None for one of which there is none."""
    then = message.then
    is_placed = isinstance(then, Member) and not then.key
    if not (then is None or is_placed):
        return None
    if message.stamps or message.link or message.link_error or message.errback:
        return None  # in them 1, 1.0 and True are equal, and not the same
    if message.headers and not all(type(value) is str for value in message.headers.values()):
        return None  # likewise; but those that say of which trace it is are texts
    if is_marked(message.args) or is_marked(message.kwargs):
        return None
    return _placed(message, "", EMPTY_LIST, EMPTY_MAP, 0)


def _is_same(shape: Message, other: Message) -> bool:
    return shape == other and [*shape.headers] == [*other.headers]  # the order of headers is seen in a text


def _placed(message: Message, id_: str, args: Json, kwargs: Json, index: int) -> Message:
    then = replace(message.then, index=index) if isinstance(message.then, Member) else None
    root_id = id_ if message.root_id == message.id else message.root_id
    place = None if message.group_index is None else index
    return replace(message, id=id_, root_id=root_id, args=args, kwargs=kwargs, group_index=place, then=then)


class _Form(Struct, frozen=True):
    """The texts of a message and of its body, with blanks."""

    envelope: str
    body: str

    def filled(self, message: Message) -> str:
        """The text of a message of the same shape."""
        id_, then = message.id, message.then
        blanks = {
            "id": encode_basestring_ascii(id_),
            "index": message.group_index,
            "argsrepr": encode_basestring_ascii(repr_of(message.args)),
            "kwargsrepr": encode_basestring_ascii(repr_of(message.kwargs)),
            "args": message.args,
            "kwargs": message.kwargs,
        }
        if isinstance(then, Member):
            blanks["ref"] = json_string(ref_of(then))
            blanks["next"], blanks["failed"] = (
                json_string(derive(id_, task)) for task in (NEXT_TASK, FAILED_TASK)
            )
        body = (self.body % blanks).encode()
        blanks["body"] = '"' + b2a_base64(body, newline=False).decode() + '"'
        return self.envelope % blanks


def _form_of(message: Message) -> _Form | None:
    """The form of messages like this one; None where something in them could be taken for a blank."""
    marked = _placed(message, _ID, _ARGS, _KWARGS, _INDEX)
    wire, then = to_wire(marked), marked.then
    id_, position = {"id": json_string(_ID)}, {}
    forwards = {}
    if isinstance(then, Member):
        position = {"ref": json_string(ref_of(then))}
        names = {"next": NEXT_TASK, "failed": FAILED_TASK}
        forwards = {name: json_string(derive(_ID, task)) for name, task in names.items()}
    body = _blanked(wire.body.decode(), [(1, {"args": _ARGS, "kwargs": _KWARGS, **forwards}), (2, position)])
    encoded = {"body": json_string(b2a_base64(wire.body, newline=False).decode())}
    texts = {"argsrepr": json_string(_ARGS), "kwargsrepr": json_string(_KWARGS)}
    index = {} if marked.group_index is None else {"index": str(_INDEX)}
    ids = 4 if marked.root_id == marked.id else 3
    envelope = _blanked(
        pack(wire, marked.queue), [(ids, id_), (1, {**encoded, **texts, **position, **index})]
    )
    return _Form(envelope, body) if envelope and body else None


def _blanked(text: str, marks: Sequence[tuple[int, Mapping[str, str]]]) -> str:
    """The text as a form to be filled: `%(name)s` where the mark of that name stands. "" where one is not there as often as said."""
    text = text.replace("%", "%%")
    for count, named in marks:
        for name, mark in named.items():
            if text.count(mark) != count:
                return ""
            text = text.replace(mark, f"%({name})s")
    return text
