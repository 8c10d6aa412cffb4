"""JSON with Celery's extension types and ours: what comes back as it was, what is refused by name, what strangers write."""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import enum
import json
import sys
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from backbeat.canvas.codec import dumps, loads
from backbeat.canvas.errors import DecodeError, EncodeError
from backbeat.canvas.json_text import EMPTY_LIST, json_list, json_string, prepend
from backbeat.canvas.mark import plain
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.utils import json as kombu_json


@dataclass(frozen=True, slots=True)
class Point:
    x: Any
    y: Any = None


@dataclass
class Doubled:
    """Its constructor changes what it is given."""

    number: int
    seen: list[int] = field(default_factory=list, init=False)

    def __post_init__(self):
        self.number *= 2
        self.seen.append(self.number)


@dataclass
class Refusing:
    number: int

    def __post_init__(self):
        if self.number < 0:
            raise ValueError("negative")


@dataclass
class WithInitVar:
    number: int
    scale: InitVar[int]


class Colour(enum.Enum):
    RED = 1
    SOFT = ("pink", (1, 2))
    THING = object()


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Mixed(str, enum.Enum):  # noqa: UP042 - as older code has it
    A = "a"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    a: int
    b: list[int]


VALUES = [
    None,
    True,
    1,
    -1.5,
    "é\x00\U0001f600",
    [1, [2]],
    {"a": {"b": []}},
    dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
    dt.date(2026, 1, 2),
    dt.time(3, 4, 5),
    Decimal("1.10"),
    UUID(int=5),
    b"text",
    b"\xff\x00",
    (),
    (1, (2, [3])),
    {1, 2},
    set(),
    {(1, 2), "a", None},
    frozenset({frozenset({1})}),
    Point(1, (2, {3})),
    Doubled(4),
    Colour.RED,
    Colour.SOFT,
    Colour.THING,
    Level.LOW,
    Word.YES,
    Mixed.A,
    Access.READ,
    Access.READ | Access.WRITE,
    Access(0),
    Path("/tmp/\udcff"),
    PurePosixPath("a/b"),
    PureWindowsPath("c:/a"),
    dt.timedelta(days=-3, microseconds=1),
    dt.timedelta.max,
    1j,
    {"__backbeat__": "tuple", "value": [1]},
    {"__backbeat__": 5, "x": (1,)},
    "__backbeat__",
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back_as_they_were(value):
    assert loads(dumps(value)) == value
    assert type(loads(dumps(value))) is type(value)
    assert loads(dumps([{"a": value}])) == [{"a": value}]


@pytest.mark.parametrize(
    "value", [object(), {(1, 2): 3}, {Colour.RED: 1}, print, bytearray(b"x"), range(3)], ids=repr
)
def test_what_has_no_form_is_refused_by_its_type(value):
    with pytest.raises(EncodeError, match=f"^{type(value).__name__} cannot be written") as caught:
        dumps(value)
    with pytest.raises(EncodeError, match=r"^tuple cannot be written"):
        dumps(([{"a": value}],))
    seen = caught.value
    while seen is not None:  # what a reader of the failure sees are errors that mean something to him
        assert type(seen) in (EncodeError, TypeError)
        seen = seen.__context__


def test_a_tuple_as_a_key_is_refused_by_its_name():
    with pytest.raises(EncodeError, match=r"keys must be str, .* not tuple"):
        dumps([{(1, 2): (3,)}])


def test_a_value_in_itself_is_refused():
    value = []
    value.append(value)

    with pytest.raises(EncodeError):
        dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nul",
        b"\xff",
        '{"__type__": "nonsense", "__value__": 1}',
        '{"__type__": "os.system", "__value__": "true"}',
        '{"__type__": ["os"], "__value__": 1}',
        '{"__type__": "datetime", "__value__": "tomorrow"}',
        '{"__type__": "uuid", "__value__": {}}',
        '{"__type__": "decimal", "__value__": "x"}',
        "[" * 100_000,
    ],
    ids=lambda text: str(text[:40]),
)
def test_what_is_no_json_or_no_known_type_is_a_decode_error(text):
    with pytest.raises(DecodeError):
        loads(text)


def test_texts_are_joined_without_decoding_them():
    assert json_list(["1", '{"a":2}']) == '[1,{"a":2}]'
    assert json.loads(json_string('a"b')) == 'a"b'
    assert prepend("1", EMPTY_LIST) == "[1]"
    assert json.loads(prepend("1", "[ ]")) == [1]
    assert json.loads(prepend("[0]", '["a", 2]')) == [[0], "a", 2]


# --- our own types -------------------------------------------------------------------------------------------------------------

keys = st.text(max_size=8) | st.just("__backbeat__") | st.just("value")
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    # ISO has none
    | st.datetimes(timezones=st.just(dt.UTC) | st.none()).map(lambda moment: moment.replace(fold=0))
    | st.dates()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.complex_numbers(allow_nan=False)
    | st.sampled_from([*Colour, *Level, *Word, *Mixed, *Access, Access.READ | Access.WRITE])
    | st.sampled_from([PosixPath("a"), PurePosixPath("/b"), PureWindowsPath("c:\\d")])
)
some_leaves = st.lists(leaves, max_size=3)
hashed = (
    leaves | some_leaves.map(tuple) | some_leaves.map(frozenset) | st.builds(Point, some_leaves.map(tuple))
)
values = st.recursive(
    st.deferred(lambda: hashed | st.lists(hashed, max_size=3).map(set)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=8,
)


def typed(value):
    """`value` together with the types of all that is in it: 1 is not True, and (1,) is not [1]."""
    match value:
        case list() | tuple():
            return type(value), [typed(item) for item in value]
        case dict():
            return type(value), {key: typed(item) for key, item in value.items()}
        case set() | frozenset():
            return type(value), sorted(map(repr, map(typed, value)))
        case Point():
            return type(value), typed(value.x), typed(value.y)
    return type(value), value


@settings(deadline=None)
@given(value=values)
def test_whatever_is_in_a_value_comes_back_as_it_was_and_celery_can_read_it(value):
    text = dumps(value)

    assert typed(loads(text)) == typed(value)
    kombu_json.loads(text)
    kombu_json.loads(plain(text))


def test_equal_sets_give_equal_texts():
    assert dumps({"b", "a", "c"}) == dumps({"c", "b", "a"})
    assert dumps({(2, 1), "x", 3}) == dumps({"x", 3, (2, 1)})


def test_what_derives_from_jsons_types_is_written_as_these():
    assert loads(dumps(collections.OrderedDict(a=1))) == {"a": 1}
    assert typed(loads(dumps(Pair(1, [2])))) == typed((1, [2]))
    assert loads(dumps({Word.YES: 1})) == {"yes": 1}


def test_a_type_that_a_user_registered_with_kombu_is_written_as_kombu_does(monkeypatch):
    monkeypatch.setattr(kombu_json, "_encoders", dict(kombu_json._encoders))
    monkeypatch.setattr(kombu_json, "_decoders", dict(kombu_json._decoders))
    kombu_json.register_type(set, "my_set", sorted, lambda items: {*items, "mine"})

    text = dumps([{1}])

    assert json.loads(text) == [{"__type__": "my_set", "__value__": [1]}]
    assert loads(text) == [{1, "mine"}]


def test_kombus_registry_stays_as_it_is():
    dumps([Point(1), {2}, Colour.RED])

    assert not {Point, set, enum.Enum, tuple} & set(kombu_json._encoders)
    with pytest.raises(TypeError):
        kombu_json.dumps({2})


def test_a_type_that_writes_itself_is_asked():
    class Money:
        def __json__(self):
            return {"cents": (5,)}

    assert loads(dumps([Money()])) == [{"cents": (5,)}]


# --- what strangers write ------------------------------------------------------------------------------------------------------


def mark(kind, value, **more):
    return json.dumps({"__backbeat__": kind, "value": value, **more})


@pytest.mark.parametrize(
    "text",
    [
        mark("tuple", 1),
        mark("tuple", {"a": 1}),
        mark("set", "ab"),
        mark("frozenset", None),
        mark("dataclass", [1], type="a:B"),
        mark("dict", [["a", 1]]),
        mark("path", 5, type="PosixPath"),
        mark("path", "x", type="Popen"),
        mark("path", "x"),
        mark("timedelta", 1.0),
        mark("timedelta", 1.0, parts=[1]),
        mark("timedelta", 1.0, parts=["1", 2, 3]),
        mark("timedelta", 1.0, parts=[1e300, 2, 3]),
        mark("complex", [1]),
        mark("complex", ["1", []]),
        '{"__backbeat__": "tuple", "value": [' * 5_000 + "]}" * 5_000,
        '[{"__backbeat__": "tuple", "value": [1]}',
    ],
    ids=lambda text: text[:60],
)
def test_a_marked_value_in_another_form_is_a_decode_error(text):
    with pytest.raises(DecodeError):
        loads(text)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "antigravity:Anything",
        "builtins:dict",
        "subprocess:Popen",
        "dataclasses:dataclass",
        "no.such:Thing",
        f"{__name__}:Point.x",
        f"{__name__}:Point.__init__",
        f"{__name__}:Pair",
        f"{__name__}:dt.datetime",
        "",
        ":",
        "os",
        5,
        None,
        ["os"],
    ],
)
@pytest.mark.parametrize("kind", ["dataclass", "enum"])
def test_a_class_that_is_not_loaded_or_is_none_of_these_is_not_touched(kind, name):
    assert loads(mark(kind, {"x": 1}, type=name, name="x")) == {"x": 1}
    assert loads(mark(kind, {"x": [1]})) == {"x": [1]}
    assert "antigravity" not in sys.modules


def test_a_kind_of_a_later_version_comes_as_its_plain_value():
    assert loads(mark("ipaddress", "::1", version=6)) == "::1"
    assert loads(mark("table", [{"a": 1}])) == [{"a": 1}]


def test_a_map_with_our_key_alone_is_a_map():
    assert loads('{"__backbeat__": "tuple"}') == {"__backbeat__": "tuple"}
    assert loads('{"__backbeat__": ["tuple"], "value": [1]}') == {"__backbeat__": ["tuple"], "value": [1]}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("Refusing", {"number": -1}),
        ("Point", {"x": 1, "z": 2}),
        ("Point", {}),
        ("WithInitVar", {"number": 1}),
        ("Gone", {"x": 1}),
    ],
)
def test_a_dataclass_that_cannot_be_made_comes_as_its_fields(name, fields):
    assert loads(mark("dataclass", fields, type=f"{__name__}:{name}")) == fields


def test_fields_that_an_older_version_did_not_know_have_their_defaults():
    assert loads(mark("dataclass", {"x": 1}, type=f"{__name__}:Point")) == Point(1)


def test_a_class_inside_a_function_comes_as_its_fields_and_its_values():
    @dataclass(frozen=True)
    class Local:
        x: int

    class Here(enum.Enum):
        A = "a"

    assert loads(dumps([Local(1), Here.A])) == [{"x": 1}, "a"]
    assert loads(dumps({Local(1)})) == [{"x": 1}]


def test_a_member_that_is_gone_comes_as_its_value():
    assert loads(mark("enum", 7, type=f"{__name__}:Colour", name="BLUE")) == 7
    assert loads(mark("enum", 64, type=f"{__name__}:Access", name=None)) == 64
    assert loads(mark("enum", [1], type=f"{__name__}:Access", name=["READ"])) == [1]


def test_a_path_of_another_system_comes_as_a_pure_one():
    assert typed(loads(mark("path", "c:\\a", type="WindowsPath"))) == typed(PureWindowsPath("c:\\a"))


def test_nothing_is_imported():
    before = {*sys.modules}

    for kind in ("dataclass", "enum", "path", "tuple"):
        with_suppressed(loads, mark(kind, [1], type="antigravity:Thing", name="x"))

    assert "antigravity" not in before
    assert {*sys.modules} == before


def with_suppressed(call, *args):
    with contextlib.suppress(DecodeError):
        call(*args)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | st.sampled_from(["x", "os:system", f"{__name__}:Point"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["value", "type", "name", "parts", "x", "__type__", "__value__"]),
            inner,
            max_size=5,
        )
        | st.fixed_dictionaries(
            {
                "__backbeat__": st.sampled_from(
                    "tuple set frozenset dataclass enum path timedelta complex dict new".split()
                ),
                "value": inner,
            },
            optional={"type": inner, "name": inner, "parts": inner},
        )
    ),
    max_leaves=15,
)


@settings(deadline=None)
@given(value=junk)
def test_whatever_a_stranger_writes_is_a_value_or_a_decode_error(value):
    with_suppressed(loads, json.dumps(value))
