"""Parcel: a delivery of RabbitMQ that lies whole in a buffer, read in one go. PURE.

py-amqp takes its three frames one by one, and its headers in several calls each; for what a worker is sent by the hundred that is most of the
work. Here only the usual is read: what table.py knows, with a body in one frame. For all else, and for what is damaged or not there yet, there
is no parcel; then the frames go py-amqp's way (AmqpLine), which says what is wrong with them.
"""

from __future__ import annotations

from struct import Struct as Layout
from struct import error as layout_error

from msgspec import Struct

from ..wire import Wire
from .table import TableError, read_properties

_START = Layout(">BHIIB")
"""Of the first frame: its kind, channel and size, the method, the length of the consumer's tag."""
_CONTENT = Layout(">BHIIQ")
"""Of the second: kind, channel and size, class and weight, the size of the body."""
_BODY = Layout(">BHI")
_ADDRESS = Layout(">Q?B")
"""What follows the consumer's tag: the delivery's, whether it came before, the length of the exchange's name; then that and the routing key."""
_DELIVER = 60 << 16 | 60
_BASIC = 60 << 16
_END = 0xCE
_HEAD, _TAIL = 7, 1
"""Bytes of a frame before and behind what it carries."""


class Parcel(Struct, frozen=True):
    """A message, the consumer that got it, the tag by which it is acknowledged, and where in the buffer the next frame begins."""

    consumer: str
    delivery_tag: int
    wire: Wire
    end: int


def parcel_at(data: bytes, start: int, channel: int) -> Parcel | None:
    """The delivery on this channel that begins at `start`; None if there is none, or not all of it, or if it is an unusual one."""
    try:
        return _parcel(data, start, channel)
    except (layout_error, IndexError, UnicodeDecodeError, TableError):
        return None


def _parcel(data: bytes, start: int, channel: int) -> Parcel | None:
    kind, on, size, method, length = _START.unpack_from(data, start)
    if method != _DELIVER or kind != 1 or on != channel:
        return None
    content = start + _HEAD + size + _TAIL
    kind, on, size, basic, body_size = _CONTENT.unpack_from(data, content)
    body = content + _HEAD + size + _TAIL
    end = body + _HEAD + body_size
    if (kind, on, basic) != (2, channel, _BASIC) or _BODY.unpack_from(data, body) != (3, channel, body_size):
        return None
    if not data[content - 1] == data[body - 1] == data[end] == _END:
        return None
    consumer = start + _START.size
    after = consumer + length
    tag, _, exchange_size = _ADDRESS.unpack_from(data, after)
    key = after + _ADDRESS.size + exchange_size
    if key + 1 + data[key] != content - 1:
        return None
    headers, properties = read_properties(data, content + _CONTENT.size, body - 1)
    wire = Wire(headers, properties, data[body + _HEAD : end])
    return Parcel(data[consumer:after].decode(), tag, wire, end + _TAIL)
