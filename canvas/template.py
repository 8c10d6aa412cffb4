"""Template: messages that differ in little, encoded once.

A scheduler sends the same task again and again, and thousands of entries send tasks that differ in their arguments only. What such
messages share is encoded once, with blanks for the rest: id, arguments, an expiry, and headers that hold a text. A Rendered is one of
them: it names its template and what goes into the blanks, and costs a tenth of a Message that is encoded for itself.

`Rendered.message()` says what it means; `Rendered.envelope()` is byte for byte what `Keyring.text(message)` gives, signed where there are
keys. A template proves that of itself when it is made: `template_of` gives None for messages whose bytes it could not foretell.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from msgspec.structs import replace

from .envelope import pack
from .json_text import Json
from .message import Message, iso_of_us
from .signing import NO_KEYS, Keyring, with_signature
from .wire import Wire, repr_of, to_wire

LARGEST = 65_536
"""Characters of a message that is kept as a template; a larger one has more in it than what it shares with others."""
_ID, _ARGS, _KWARGS, _HEADER = "\1id\1", Json("\1args\1"), Json("\1kwargs\1"), "\1header{}\1"
_SIGNATURE = "\1signature\1"
_EXPIRES_US = 4_102_444_800_000_001
"""A time that hardly anybody writes, to be found again in a text; where somebody does, there is no template."""


class Template:
    """What its messages share. Made by `template_of`."""

    __slots__ = (
        "_embed",
        "_envelope",
        "_head",
        "dated",
        "headers",
        "keyring",
        "marked",
        "priority",
        "queue",
        "wire",
    )

    def __init__(self, message: Message, headers: Sequence[str], *, dated: bool, keyring: Keyring) -> None:
        self.keyring = keyring
        self.queue = message.queue
        self.priority = message.priority
        self.headers = tuple(headers)
        self.dated = dated
        self.marked = _filled(
            message,
            _ID,
            _ARGS,
            _KWARGS,
            dict(zip(headers, map(_HEADER.format, range(len(headers))), strict=True)),
            _EXPIRES_US if dated else message.expires_us,
        )
        """A message whose blanks hold `marks`."""
        self.wire = to_wire(self.marked)
        """The same as it travels, for who wants to find the marks in an encoding of its own."""
        self._head = ""
        if keyring.signs:
            self._head = self._blank(keyring.head(self.wire, self.queue))
            self.wire = with_signature(self.wire, _SIGNATURE)
        body = self.wire.body
        self._embed = body.decode().removeprefix(f"[{_ARGS},{_KWARGS},").removesuffix("]")
        text = self._blank(pack(self.wire, self.queue))
        self._envelope = text.replace(json.dumps(b2a_base64(body, newline=False).decode()), "%(body)s")

    def _blank(self, text: str) -> str:
        """JSON with marks as a form to be filled."""
        text = text.replace("%", "%%")
        for name, mark in self.marks().items():
            text = text.replace(json.dumps(mark), f"%({name})s")
        return text

    @property
    def bytes(self) -> int:
        """About what it takes: its text, and the message that it was made of."""
        return 2 * len(self._envelope) + len(self._head) + 1_000

    def marks(self) -> dict[str, str]:
        """What stands in each blank of `wire`: id, args, kwargs, expires, h0, h1 ... and the signature, if there are keys."""
        known = {"id": _ID, "args": _ARGS, "kwargs": _KWARGS}
        known |= {f"h{n}": _HEADER.format(n) for n in range(len(self.headers))}
        if self.keyring.signs:
            known["signature"] = _SIGNATURE
        return {**known, "expires": iso_of_us(_EXPIRES_US)} if self.dated else known


class Rendered(NamedTuple):
    """One message of a template. `headers` are the values of the template's blank headers, in their order."""

    template: Template
    id: str
    args: Json
    kwargs: Json
    headers: tuple[str, ...]
    expires_us: int | None = None

    @property
    def queue(self) -> str:
        return self.template.queue

    @property
    def priority(self) -> int | None:
        return self.template.priority

    def message(self) -> Message:
        """The message that this is."""
        template = self.template
        headers = dict(zip(template.headers, self.headers, strict=True))
        expires_us = self.expires_us if template.dated else template.marked.expires_us
        return _filled(template.marked, self.id, self.args, self.kwargs, headers, expires_us)

    def body(self) -> bytes:
        """The body, as `to_wire` makes it."""
        return f"[{self.args},{self.kwargs},{self.template._embed}]".encode()

    def envelope(self) -> str:
        """The text that lists and tables hold, as `pack` makes it."""
        template, blanks, body = self.template, self._blanks(), self.body()
        if template._head:
            blanks["signature"] = f'"{template.keyring.signature(template._head % blanks, body)}"'
        blanks["body"] = '"' + b2a_base64(body, newline=False).decode() + '"'
        return template._envelope % blanks

    def signature(self, body: bytes) -> str:
        """Its signature; `body` is its own. Only where there are keys."""
        template = self.template
        return template.keyring.signature(template._head % self._blanks(), body)

    def wire(self) -> Wire:
        """What it is on the wire, encoded for itself."""
        return self.template.keyring.wire(self.message())

    def _blanks(self) -> dict[str, str]:
        template, quoted = self.template, encode_basestring_ascii
        blanks = {
            "id": quoted(self.id),
            "args": quoted(repr_of(self.args)),
            "kwargs": quoted(repr_of(self.kwargs)),
        }
        for number, value in enumerate(self.headers):
            blanks[f"h{number}"] = quoted(value)
        if template.dated:
            assert self.expires_us is not None
            blanks["expires"] = f'"{iso_of_us(self.expires_us)}"'
        return blanks


Sendable = Message | Rendered


def template_of(
    message: Message, headers: Sequence[str] = (), *, dated: bool = False, keyring: Keyring = NO_KEYS
) -> Template | None:
    """The template of messages like this one; None where a message is no sum of its parts, and must be encoded for itself.

    `headers` names those headers whose value, a text, differs from message to message; `dated` says that the expiry does.
    `keyring` signs each of them. Raises EncodeError for what its key may not send.
    """
    if message.eta_us is not None or message.countdown is not None or message.expires_after is not None:
        return None  # the broker's clock decides about these
    if message.id != (message.root_id or message.id) or message.then is not None or message.exchange:
        return None
    template = Template(message, headers, dated=dated, keyring=keyring)
    if len(template._envelope) > LARGEST:
        return None
    return template if all(map(_is_true, _trials(template))) else None


def _trials(template: Template) -> list[Rendered]:
    """Two messages with nothing in common, one of them with all that can be in the way."""
    count = len(template.headers)
    plain = tuple(str(number) for number in range(count))
    odd = tuple(f'%s "\\{number}\n\N{SNOWMAN}\N{PILE OF POO}' for number in range(count))
    return [
        Rendered(template, "1-2", Json("[1]"), Json("{}"), plain, 1),
        Rendered(
            template,
            'a"%(id)s',
            Json(json.dumps(["%", "\N{SNOWMAN}" * 300])),
            Json('{"a":"%%"}'),
            odd,
            2_000_000,
        ),
    ]


def _is_true(rendered: Rendered) -> bool:
    return rendered.envelope() == pack(rendered.wire(), rendered.queue)


def _filled(
    message: Message, id_: str, args: Json, kwargs: Json, headers: dict[str, str], expires_us: int | None
) -> Message:
    return replace(
        message,
        id=id_,
        root_id=id_,
        args=args,
        kwargs=kwargs,
        headers={**message.headers, **headers},
        expires_us=expires_us,
    )
