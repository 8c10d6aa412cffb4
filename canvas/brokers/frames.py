"""Frames: a message as the bytes of AMQP 0-9-1, ready for the socket. AmqpLine writes them, many in one call.

py-amqp encodes a message in some hundred small steps, and writes each by itself. Here usual properties are written in one go (table.py). Of a
rendered message those of its template are encoded once; what goes into the blanks are texts with their lengths in front, and the length of
the table of headers around them.
"""

from __future__ import annotations

from struct import Struct, pack
from typing import Any

from amqp import spec  # type: ignore[import-untyped]  # py-amqp has no types
from amqp.basic_message import Message as Content  # type: ignore[import-untyped]  # the same
from amqp.serialization import dumps  # type: ignore[import-untyped]  # the same

from ..json_text import Json
from ..message import iso_of_us
from ..template import Rendered, Template
from ..wire import Wire, repr_of
from .table import TableError, short_text, write_properties

METHOD, HEADER, BODY, END = 1, 2, 3, b"\xce"
PUBLISH_FORMAT = "Bssbb"
TEMPLATES = 500
"""Of how many templates the frames are kept."""
_CONTENT = 60
_OVERHEAD = 8
"""Bytes of a frame around what it carries."""
_HEADER = Struct(">HHQ")
"""What stands before the properties: class, weight, size of the body."""
_ACK = Struct(">BHIHHQBB")
"""The one frame of an acknowledgement."""


def content_of(wire: Wire) -> Any:
    """Properties and body as py-amqp's message, with the names that it has for them."""
    properties = dict(wire.properties)
    return Content(wire.body, application_headers=wire.headers, **properties)


def ack_frame(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Acknowledge what has this tag; with `multiple` all that has it or a lower one."""
    class_, method = spec.Basic.Ack
    return _ACK.pack(METHOD, channel, _ACK.size - _OVERHEAD, class_, method, tag, multiple, END[0])


class Frames:
    """The frames of one template's messages on one channel."""

    def __init__(self, template: Template, channel: int, frame_max: int) -> None:
        self._template = template
        self._channel = channel
        self._room = frame_max - _OVERHEAD
        publish = pack(">HH", *spec.Basic.Publish)
        arguments = dumps(PUBLISH_FORMAT, (0, "", template.queue, True, False))
        self._method = frame(METHOD, channel, publish + arguments)
        self._properties, self._table_size = self._blank()

    def _blank(self) -> tuple[bytes, int]:
        """The properties with blanks, and the size of their table without what goes into these."""
        template = self._template
        encoded = _properties_of(template.wire)
        table = 2  # behind the flags come content type and encoding, short texts, then the table
        for _ in range(2):
            table += 1 + encoded[table]
        size = int.from_bytes(encoded[table : table + 4], "big")
        head, tail = encoded[:table], encoded[table + 4 :]
        texts = []
        for part in (head, tail):
            text = part.replace(b"%", b"%%")
            for name, mark in template.marks().items():
                raw = mark.encode()
                count = text.count(long := _long(raw))
                size -= count * len(long) if part is tail else 0
                text = text.replace(long, b"%%(%s)b" % name.encode())
                text = text.replace(_short(raw), b"%%(%s short)b" % name.encode())
            texts.append(text)
        self._counts = {name: texts[1].count(b"%%(%s)b" % name.encode()) for name in template.marks()}
        return texts[0] + b"%(size)b" + texts[1], size

    def of(self, item: Rendered) -> bytes:
        """All frames of a message. Raises ValueError if its headers do not fit into one."""
        body = item.body()
        properties = self._properties % self._blanks(item, body)
        return self._method + content_frames(self._channel, self._room, properties, body)

    def _blanks(self, item: Rendered, body: bytes) -> dict[bytes, bytes]:
        id_ = item.id.encode()
        blanks = {
            b"id": _long(id_),
            b"args": _long(repr_of(item.args).encode()),
            b"kwargs": _long(repr_of(item.kwargs).encode()),
        }
        for number, value in enumerate(item.headers):
            blanks[b"h%d" % number] = _long(value.encode("utf-8", "surrogatepass"))
        if item.template.dated:
            assert item.expires_us is not None
            blanks[b"expires"] = _long(iso_of_us(item.expires_us).encode())
        if item.template.keyring.signs:
            blanks[b"signature"] = _long(item.signature(body).encode())
        counts = self._counts
        size = self._table_size + sum(counts[name.decode()] * len(text) for name, text in blanks.items())
        blanks[b"size"] = pack(">I", size)
        blanks[b"id short"] = _short(id_)
        return blanks


class FrameWriter:
    """The frames of messages on one channel. What the templates of rendered ones share is kept, for some of them."""

    def __init__(self, channel: int, frame_max: int) -> None:
        self._channel = channel
        self._frame_max = frame_max
        self._kept: dict[Template, Frames | None] = {}

    def of(self, item: Rendered) -> bytes | None:
        """All frames of a message; None where it must go py-amqp's way. Raises ValueError, as `Frames.of` does."""
        template = item.template
        if template not in self._kept:
            if len(self._kept) >= TEMPLATES:
                self._kept.clear()
            self._kept[template] = frames_of(template, self._channel, self._frame_max)
        frames = self._kept[template]
        return None if frames is None else frames.of(item)

    def of_wire(self, wire: Wire, exchange: str, key: str) -> bytes | None:
        """All frames of a message that is published to this exchange by this key; the same holds."""
        try:
            arguments = bytes(2) + short_text(exchange) + short_text(key) + b"\x01"  # mandatory
            properties = write_properties(wire)
        except TableError:
            return None
        publish = frame(METHOD, self._channel, pack(">HH", *spec.Basic.Publish) + arguments)
        return publish + content_frames(self._channel, self._frame_max - _OVERHEAD, properties, wire.body)

    def fit(self, content: Any) -> None:
        """See to it that the properties of py-amqp's message go into one frame: the server ends the connection over one that is larger.

        Raises ValueError.
        """
        properties = content._serialize_properties()
        _check_room(len(properties) + _HEADER.size, self._frame_max - _OVERHEAD)
        content._serialize_properties = lambda: properties  # written once is enough


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """One frame."""
    return pack(">BHI", kind, channel, len(payload)) + payload + END


def content_frames(channel: int, room: int, properties: bytes, body: bytes) -> bytes:
    """The frames of properties and body. Raises ValueError if the properties do not fit into one."""
    header = _HEADER.pack(_CONTENT, 0, len(body)) + properties
    _check_room(len(header), room)
    chunks = [body[start : start + room] for start in range(0, len(body), room)]
    return b"".join((frame(HEADER, channel, header), *(frame(BODY, channel, chunk) for chunk in chunks)))


def _check_room(size: int, room: int) -> None:
    if size > room:
        raise ValueError(f"the headers have {size:,} bytes, more than {room:,}")


def frames_of(template: Template, channel: int, frame_max: int) -> Frames | None:
    """The frames of a template; None where they are not what py-amqp would write, and each message must go its way."""
    frames = Frames(template, channel, frame_max)
    headers = tuple(f"{number}\N{SNOWMAN}" for number in range(len(template.headers)))
    trial = Rendered(template, "1-2-3", Json('["%(id)b"]'), Json("{}"), headers, 2_000_000)
    filled = frames._properties % frames._blanks(trial, trial.body())
    return frames if filled == _properties_of(trial.wire()) else None


def _properties_of(wire: Wire) -> bytes:
    encoded: bytes = content_of(wire)._serialize_properties()
    return encoded


def _long(raw: bytes) -> bytes:
    return b"S" + len(raw).to_bytes(4, "big") + raw


def _short(raw: bytes) -> bytes:
    return bytes((len(raw),)) + raw
