"""parcel.py and table.py against py-amqp, whose work they do for what is usual: the same messages, and byte for byte the same properties."""

import struct

import pytest
from amqp import spec
from amqp.basic_message import Message as Content
from amqp.exceptions import FrameSyntaxError
from amqp.method_framing import frame_handler
from amqp.serialization import dumps, loads
from backbeat.canvas.brokers.foreign import wire_of
from backbeat.canvas.brokers.frames import METHOD, FrameWriter, content_frames, content_of, frame
from backbeat.canvas.brokers.parcel import parcel_at
from backbeat.canvas.brokers.table import TableError, read_properties, write_properties
from backbeat.canvas.json_text import Json
from backbeat.canvas.message import Message
from backbeat.canvas.wire import Wire, to_wire
from hypothesis import given
from hypothesis import strategies as st

CHANNEL, ROOM = 3, 131_064
MESSAGE = Message(id="7d2b", task="shop.pay", args=Json('[1,"\\u00e4"]'), queue="q", headers={"tenant": "x"})
texts = st.text(st.characters(codec="utf-8"), max_size=40)
numbers = st.integers(-(2**63), 2**63 - 1)
plain = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
wires = st.builds(
    Wire,
    st.dictionaries(texts, plain, max_size=8),
    st.fixed_dictionaries(
        {"content_type": texts, "content_encoding": st.just("utf-8"), "correlation_id": texts},
        optional={
            "reply_to": texts,
            "delivery_mode": st.integers(0, 255),
            "priority": st.integers(0, 255),
            "expiration": texts,
            "message_id": texts,
        },
    ),
    st.binary(min_size=1, max_size=60),
)


def delivered(wire: Wire, tag: int = 9) -> bytes:
    """The frames in which RabbitMQ delivers it."""
    arguments = dumps("sLbss", ("ctag", tag, False, "exchange", "q"))
    deliver = frame(METHOD, CHANNEL, struct.pack(">HH", *spec.Basic.Deliver) + arguments)
    return deliver + content_frames(CHANNEL, ROOM, content_of(wire)._serialize_properties(), wire.body)


class Heard:
    """What py-amqp makes of bytes."""

    bytes_recv = 0

    def __init__(self, data: bytes) -> None:
        self.found: list[tuple[str, int, Wire]] = []
        handle, at = frame_handler(self, self._on_method), 0
        while at < len(data):
            kind, channel, size = struct.unpack_from(">BHI", data, at)
            handle((kind, channel, data[at + 7 : at + 7 + size]))
            at += size + 8

    def _on_method(self, channel: int, method: tuple[int, int], payload: bytes, content: Content) -> None:
        assert (channel, method) == (CHANNEL, spec.Basic.Deliver)
        (consumer, tag, _), _ = loads("sLb", payload, 4)
        self.found.append((consumer, tag, wire_of(content)))


@given(wires)
def test_a_parcel_is_the_message_that_py_amqp_reads(wire):
    data = delivered(wire)

    parcel = parcel_at(b"behind others" + data + b"before others", 13, CHANNEL)

    assert parcel is not None
    assert parcel.end == 13 + len(data)
    assert [(parcel.consumer, parcel.delivery_tag, parcel.wire)] == Heard(data).found


@given(wires)
def test_properties_are_written_as_py_amqp_writes_them(wire):
    assert write_properties(wire) == content_of(wire)._serialize_properties()


@given(wires)
def test_properties_that_are_written_are_read_again(wire):
    data = write_properties(wire)

    assert read_properties(data, 0, len(data)) == (wire.headers, wire.properties)


def test_a_message_of_ours_is_published_in_the_frames_of_py_amqp():
    wire = to_wire(MESSAGE)
    arguments = dumps("Bssbb", (0, "", "q", True, False))
    publish = frame(METHOD, CHANNEL, struct.pack(">HH", *spec.Basic.Publish) + arguments)

    frames = FrameWriter(CHANNEL, ROOM + 8).of_wire(wire, "", "q")

    content = content_frames(CHANNEL, ROOM, content_of(wire)._serialize_properties(), wire.body)
    assert frames == publish + content


def test_what_is_not_there_as_a_whole_is_no_parcel():
    data = delivered(to_wire(MESSAGE))

    assert [parcel_at(data[:size], 0, CHANNEL) for size in range(len(data))] == [None] * len(data)
    assert parcel_at(data, 0, CHANNEL + 1) is None


def test_damaged_bytes_are_no_parcel_or_what_py_amqp_reads():
    data = delivered(to_wire(MESSAGE))
    found = 0
    for at in range(len(data)):
        for value in (0, 1, 0x53, 0x7F, 0xFF, data[at] ^ 1):
            damaged = data[:at] + bytes([value]) + data[at + 1 :]
            parcel = parcel_at(damaged, 0, CHANNEL)
            if parcel is not None:
                found += 1
                assert parcel.end == len(data)
                assert Heard(damaged).found == [(parcel.consumer, parcel.delivery_tag, parcel.wire)]
    assert found > len(data)


def test_a_body_in_several_frames_and_none_are_no_parcels():
    wire = to_wire(MESSAGE)
    deliver = delivered(wire)[: -len(content_frames(CHANNEL, ROOM, write_properties(wire), wire.body))]

    for body, room in ((wire.body, 1_000), (b"", ROOM)):
        headers = content_frames(CHANNEL, room, write_properties(wire), body * 30)
        assert parcel_at(deliver + headers, 0, CHANNEL) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": 1},
        {"type": "x"},
        {"content_encoding": "latin-1"},
        {"content_encoding": "utf-16"},
    ],
)
def test_what_only_others_write_goes_py_amqps_way(changes):
    wire = to_wire(MESSAGE)
    other = Wire(wire.headers, wire.properties | changes, wire.body)

    assert parcel_at(delivered(other), 0, CHANNEL) is None


def test_tables_in_tables_without_end_go_py_amqps_way():
    value = []
    for _ in range(40):
        value = [value]

    assert parcel_at(delivered(Wire({"deep": value}, to_wire(MESSAGE).properties, b"x")), 0, CHANNEL) is None


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, object(), b"raw", {1: 2}, {"x" * 256: 1}])
def test_what_a_table_cannot_hold_goes_py_amqps_way(value):
    wire = to_wire(MESSAGE)

    with pytest.raises(TableError):
        write_properties(Wire({"own": value}, wire.properties, wire.body))


@pytest.mark.parametrize(
    "changes", [{"reply_to": "x" * 256}, {"priority": 256}, {"priority": "1"}, {"own": 1}]
)
def test_properties_that_cannot_be_go_py_amqps_way(changes):
    wire = to_wire(MESSAGE)

    with pytest.raises(TableError):
        write_properties(Wire(wire.headers, wire.properties | changes, wire.body))


def test_headers_that_do_not_fit_into_a_frame_are_refused():
    wire = to_wire(MESSAGE)
    with pytest.raises(ValueError, match="the headers have"):
        FrameWriter(CHANNEL, 300).of_wire(wire, "", "q")


def test_what_py_amqp_cannot_read_is_no_parcel():
    """A value of a type that is none; AmqpLine keeps such a message without its properties."""
    data = delivered(Wire({"own": True}, to_wire(MESSAGE).properties, b"x"))
    damaged = data.replace(b"\x03ownt", b"\x03own?")

    assert parcel_at(damaged, 0, CHANNEL) is None
    with pytest.raises(FrameSyntaxError):
        Heard(damaged)
