"""Exceptions as data and back: by name, never by import, and whatever a class does."""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from dataclasses import dataclass
from types import ModuleType

import pydantic
import pytest
from backbeat.canvas import errors
from backbeat.canvas.failure import (
    CHARACTERS,
    DEPTH,
    MEMBERS,
    REMOTE,
    REPR_CHARACTERS,
    TRACEBACK_CHARACTERS,
    error_of,
    exception_of,
    traceback_of,
)
from backbeat.canvas.json_text import Json
from backbeat.canvas.outcome import Error, error_from_data, error_to_data
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace


class Plain(Exception):
    pass


class Nested:
    class Inner(Exception):
        pass


class WantsMore(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class KeywordOnly(Exception):
    def __init__(self, *, code=0):
        super().__init__(f"code {code}")


class OwnNew(Exception):
    def __new__(cls, code, text):
        return super().__new__(cls)

    def __init__(self, code, text):
        super().__init__(text)


class NoText(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class NoRepr:
    def __repr__(self):
        raise RuntimeError("no repr")


class Empty(Exception):
    def __len__(self):
        return 0


class NoTruth(Exception):
    def __bool__(self):
        raise RuntimeError("neither")


class OwnArgs(Exception):
    @property
    def args(self):
        raise RuntimeError("no args")


class OwnCause(Exception):
    @property
    def __cause__(self):
        raise RuntimeError("no cause")


def raised(exc):
    with pytest.raises(type(exc)) as caught:
        raise exc
    return caught.value


def back(exc):
    return exception_of(error_of(exc, "n"))


# --- there and back ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("no", 1),
        Plain(),
        Plain([1, {"a": None}]),
        KeyError("k"),
        Nested.Inner("x"),
        OSError(2, "no"),
    ],
    ids=repr,
)
def test_exceptions_come_back_as_their_own_class_with_their_arguments(exc):
    found = back(exc)

    assert type(found) is type(exc)
    assert found.args == exc.args
    assert str(found) == str(exc)


def test_the_error_says_what_where_and_how():
    error = error_of(Nested.Inner("x"), "node7")

    assert (error.type, error.module, error.args, error.text, error.node) == (
        "Nested.Inner",
        __name__,
        '["x"]',
        "x",
        "node7",
    )


@pytest.mark.parametrize("cls", errors.SHARED_WITH_CELERY.values(), ids=lambda cls: cls.__name__)
def test_classes_that_celery_has_too_are_recorded_as_its_own_and_read_as_ours(cls):
    error = error_of(cls("text"))

    assert (error.module, error.type) == ("celery.exceptions", cls.__name__)
    assert type(exception_of(error)) is cls


@pytest.mark.parametrize("name", ["SoftTimeLimitExceeded", "TimeLimitExceeded", "WorkerLostError"])
def test_what_the_pool_of_a_celery_worker_reports_is_read_as_ours(name):
    error = Error(type=name, module="billiard.exceptions", args=Json("[1]"))

    assert type(exception_of(error)) is getattr(errors, name)


def test_errors_of_our_own_are_recorded_as_ours():
    error = error_of(errors.JoinLost("gone"))

    assert error.module == "backbeat.canvas.errors"
    assert type(exception_of(error)) is errors.JoinLost


def test_a_users_class_of_a_shared_name_is_not_taken_for_ours():
    cls = type("ChordError", (Exception,), {"__module__": "elsewhere"})

    assert error_of(cls("x")).module == "elsewhere"


@pytest.mark.parametrize(
    "cause", [Empty("why"), NoTruth("why"), OwnArgs("why")], ids=lambda exc: type(exc).__name__
)
def test_a_cause_is_recorded_whatever_it_makes_of_truth_and_arguments(cause):
    exc = ValueError("broke")
    exc.__cause__ = cause

    error = error_of(exc)

    assert (error.cause.type, error.cause.args, error.cause.text) == (type(cause).__name__, '["why"]', "why")


def test_an_exception_that_cannot_be_read_is_recorded_by_its_name():
    exc = raised(OwnCause("x"))

    assert error_of(exc, "n") == Error(
        type="OwnCause", text="<OwnCause cannot be recorded: its class fails when it is read>", node="n"
    )
    assert "in raised\n" in traceback_of(exc)
    assert "OwnCause cannot be recorded" in traceback_of(exc)


# --- never imported ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("antigravity", "Error"),
        ("this", "ValueError"),
        ("builtins", "SystemExit"),
        ("builtins", "KeyboardInterrupt"),
        ("builtins", "print"),
        ("os", "system"),
        ("builtins", "NoSuchError"),
        ("", ""),
        ("no.such.module", "A.B.C"),
        (__name__, "Nested"),
        (__name__, "f.<locals>.E"),
    ],
)
def test_what_is_not_loaded_or_no_exception_becomes_a_class_made_up_under_its_name(module, name):
    found = exception_of(Error(type=name, module=module, args='["x"]', text="x"))

    assert module not in ("antigravity", "this") or module not in sys.modules
    assert isinstance(found, errors.TaskError)
    assert (type(found).__name__, type(found).__module__, str(found)) == (name.split(".")[-1], module, "x")


def test_a_module_that_imports_lazily_is_not_asked():
    asked = []
    module = ModuleType("lazy_module")
    module.__getattr__ = lambda name: asked.append(name) or ValueError
    sys.modules["lazy_module"] = module
    try:
        found = exception_of(Error(type="Late", module="lazy_module"))
    finally:
        del sys.modules["lazy_module"]

    assert isinstance(found, errors.TaskError)
    assert not asked


# --- whatever a class does -----------------------------------------------------------------------------------------------------


def test_a_constructor_that_wants_other_arguments_is_passed_by():
    found = back(WantsMore(5, "text"))

    assert type(found) is WantsMore
    assert (found.args, str(found)) == (("text",), "text")
    assert type(back(KeywordOnly(code=3))) is KeywordOnly


def test_a_class_with_a_new_of_its_own_is_made_without_it():
    found = back(OwnNew(5, "text"))

    assert type(found) is OwnNew
    assert found.args == ("text",)


def test_a_class_that_cannot_be_made_at_all_is_made_up_and_says_what_it_said():
    with pytest.raises(pydantic.ValidationError) as caught:
        pydantic.TypeAdapter(int).validate_python("x")

    found = back(caught.value)

    assert (type(found).__name__, type(found).__module__) == (
        "ValidationError",
        "pydantic_core._pydantic_core",
    )
    assert isinstance(found, errors.TaskError)
    assert str(found) == str(caught.value)
    assert "valid integer" in str(found)


def test_an_exception_without_a_text_still_is_an_error():
    error = error_of(NoText("x"))

    assert "NoText" in error.text
    assert type(exception_of(error)) is NoText
    assert traceback_of(raised(NoText("x")))


def test_arguments_that_have_no_form_are_recorded_by_their_repr():
    assert back(ValueError({1}, object)).args == ({1}, "<class 'object'>")
    assert back(ValueError(NoRepr())).args == ("<NoRepr>",)


def test_binary_arguments_survive():
    exc = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid")

    assert str(back(exc)) == str(exc)


# --- attributes ----------------------------------------------------------------------------------------------------------------


class Numbering(Exception):
    """What its constructor makes of its argument is no argument that it takes."""

    def __init__(self, number):
        super().__init__(f"number {number}")
        self.number = number
        self.seen = (number, {number})


class Slotted(Exception):
    __slots__ = ("code", "unset")

    def __init__(self, code):
        self.code = code


class Path2(OSError):
    def __init__(self, path):
        super().__init__(2, "gone", path)


class Two(ValueError, OSError):
    pass


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Computed(Exception):
    def __init__(self, response):
        self.response = response

    def __str__(self):
        return f"status {self.response.status}"


class Response:
    status = 404

    def __repr__(self):
        return "<Response>"


def test_attributes_come_back_with_their_types_and_no_constructor_runs():
    found = back(Numbering(5))

    assert (type(found), found.args, str(found)) == (Numbering, ("number 5",), "number 5")
    assert (found.number, found.seen) == (5, (5, {5}))
    assert back(WantsMore(7, "text")).code == 7
    assert back(Slotted(3)).code == 3
    assert not hasattr(back(Slotted(3)), "unset")


def test_what_builtins_keep_in_c_comes_back():
    assert (found := back(Path2("/x"))).filename == "/x"
    assert (type(found), found.errno, str(found)) == (Path2, 2, "[Errno 2] gone: '/x'")
    assert back(ImportError("no", name="mod", path="p")).name == "mod"
    assert back(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid")).object == b"\xff"
    assert back(StopIteration(5)).value == 5
    assert type(back(Two(2, "no"))) is Two
    with pytest.raises(SyntaxError) as caught:
        compile("a b", "f.py", "exec")
    assert (back(caught.value).filename, back(caught.value).lineno) == ("f.py", 1)


def test_what_c_takes_from_the_arguments_is_not_recorded_twice_nor_the_object_of_an_attribute_error():
    assert error_of(OSError(2, "no")).attributes == "{}"
    with pytest.raises(AttributeError) as caught:
        {"secret": 1}.nothing  # noqa: B018
    assert error_of(caught.value).attributes == '{"name":"nothing"}'


def test_a_class_that_forbids_to_set_attributes_comes_back_whole():
    exc = Frozen(5)
    object.__setattr__(exc, "__cause__", ValueError("why"))

    found = exception_of(error_of(exc), "the traceback")

    assert (type(found), found.code) == (Frozen, 5)
    assert (str(found.__cause__), found.remote_traceback) == ("why", "the traceback")


def test_an_attribute_without_a_form_is_its_repr_and_the_text_stays():
    found = back(Computed(Response()))

    assert isinstance(found, Computed)
    assert (str(found), found.response) == ("status 404", "<Response>")
    assert (type(found).__name__, type(found).__module__) == ("Computed", __name__)
    assert back(found).response == "<Response>"
    assert str(back(found)) == "status 404"


def test_attributes_beyond_what_may_be_recorded_leave_a_mark():
    exc = Plain("x")
    exc.first, exc.large, exc.small = "1" * 60_000, "2" * 10_000, "3"

    error = error_of(exc)
    found = exception_of(error)

    assert len(error.attributes) < CHARACTERS + 1_000
    assert (found.first, found.large, found.small) == (exc.first, "<left out: str of 10,002 characters>", "3")


def test_causes_share_the_room():
    exc, exc.__cause__ = Plain("1" * 40_000), Plain("2" * 40_000)

    found = back(exc)

    assert found.args == exc.args
    assert found.__cause__.args == ("<left out: str of 40,002 characters>",)
    assert str(found.__cause__) == "2" * 40_000


def test_a_text_and_a_repr_are_cut():
    assert len(error_of(ValueError("x" * 200_000)).text) == CHARACTERS
    exc = Plain()
    exc.thing = type("Thing", (), {"__repr__": lambda _: "y" * 100_000})()
    assert back(exc).thing == "y" * REPR_CHARACTERS


def test_what_is_not_loaded_keeps_attributes_and_text():
    error = replace(error_of(Numbering(5)), module="no.such")

    found = exception_of(error)

    assert isinstance(found, errors.TaskError)
    assert (type(found).__name__, type(found).__module__) == ("Numbering", "no.such")
    assert (str(found), found.args, found.number) == ("number 5", ("number 5",), 5)
    assert (again := error_of(found)).type == "Numbering"
    assert type(exception_of(replace(again, module=__name__))) is Numbering


def test_without_recorded_attributes_the_constructor_is_called():
    error = Error(type="Numbering", module=__name__, args="[5]")

    assert (exception_of(error).number, str(exception_of(error))) == (5, "number 5")


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes": "[1]"},
        {"attributes": '{"__class__": 5, "__dict__": 1, "__notes__": 5, "__cause__": "x", "args": [1]}'},
        {"attributes": '{"errno": [1], "filename": {"a": 1}}'},
        {
            "type": "ExceptionGroup",
            "members": (Error(type="KeyError"),),
            "attributes": '{"exceptions": 5, "message": 5}',
        },
        {"attributes": '{"x": {"__type__": "nonsense", "__value__": 1}}'},
        {"args": '[{"__type__": "nonsense", "__value__": 1}]'},
        {"args": '{"a": 1}', "attributes": "{}"},
        {"args": "nonsense", "attributes": "nonsense"},
        {"args": "[" * 5_000, "attributes": "{}"},
        {"type": "a\0b", "attributes": "{}"},
        {"type": "\ud800", "text": "\ud800"},
        {"type": "ExceptionGroup"},
        {"type": "ExceptionGroup", "attributes": "{}", "args": "[[1]]"},
        {"members": (Error(type="KeyError"),), "args": "[[1]]"},
        {"type": "UnicodeDecodeError", "attributes": "{}"},
        {"type": "OSError", "attributes": '{"errno": "x"}', "args": "[1, 2, 3, 4, 5, 6]"},
        {"type": "SyntaxError", "attributes": "{}", "args": '["x", 5]'},
    ],
    ids=repr,
)
@pytest.mark.parametrize("module", ["builtins", "no.such"])
def test_whatever_is_recorded_comes_back_as_an_exception(module, changes):
    error = replace(Error(type="OSError", module=module, args='["x"]', text="x"), **changes)

    found = exception_of(error, "traceback")

    assert isinstance(found, Exception)
    assert found.remote_traceback == "traceback"
    "".join(traceback.format_exception(found))


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    cls=st.sampled_from([Plain, Numbering, WantsMore, OwnNew, ValueError, KeyError, Nested.Inner]),
    args=st.lists(plain_values, max_size=3),
    attributes=st.dictionaries(
        st.text(min_size=1, max_size=5).filter(lambda name: not name.startswith("__")),
        plain_values,
        max_size=3,
    ),
    notes=st.lists(st.text(max_size=5), max_size=2),
)
def test_whatever_an_exception_holds_comes_back(cls, args, attributes, notes):
    exc = Exception.__new__(cls)
    exc.args = tuple(args)
    vars(exc).update(attributes)
    for note in notes:
        exc.add_note(note)

    text = json.dumps(error_to_data(error_of(exc)))
    found = exception_of(error_from_data(json.loads(text)))

    assert type(found) is cls
    assert (found.args, str(found)) == (exc.args, str(exc))
    assert vars(found) == vars(exc)


# --- notes and groups ----------------------------------------------------------------------------------------------------------


def test_the_remote_traceback_is_printed_and_not_recorded_again():
    exc = raised(Plain("no"))
    exc.add_note("mind the gap")
    where = traceback_of(exc)

    found = exception_of(error_of(exc), where)

    assert found.remote_traceback == where
    assert found.__notes__[0] == "mind the gap"
    printed = "".join(traceback.format_exception(found))
    assert REMOTE in printed
    assert "in raised" in printed
    assert (error_of(found).notes, error_of(found).attributes) == (("mind the gap",), "{}")
    again = exception_of(error_of(found), "elsewhere")
    assert (again.remote_traceback, len(again.__notes__)) == ("elsewhere", 2)


def test_without_a_traceback_there_is_no_note():
    found = back(Plain("no"))

    assert not hasattr(found, "remote_traceback")
    assert not hasattr(found, "__notes__")


def test_a_class_that_answers_to_every_name_is_recorded():
    class Delegating(Exception):
        def __getattr__(self, name):
            return getattr(self.inner, name)

    assert error_of(Delegating("x")).args == '["x"]'
    assert str(exception_of(error_of(Delegating("x")))) == "x"


@pytest.mark.parametrize("notes", ["text", [5], None, 7])
def test_notes_that_are_none_are_passed_over(notes):
    exc = Plain("x")
    exc.__notes__ = notes

    assert error_of(exc).notes == ()


def test_a_group_comes_back_with_its_members():
    inner = ExceptionGroup("inner", [KeyError("k")])
    exc = ExceptionGroup("outer", [ValueError(1), inner, Numbering(5)])

    found = back(exc)

    assert (type(found), str(found)) == (ExceptionGroup, str(exc))
    assert [type(member) for member in found.exceptions] == [ValueError, ExceptionGroup, Numbering]
    assert found.exceptions[1].exceptions[0].args == ("k",)
    assert found.exceptions[2].number == 5
    assert found.subgroup(KeyError) is not None


class Trouble(ExceptionGroup):
    def __new__(cls, message, members, code):
        made = super().__new__(cls, message, members)
        made.code = code
        return made


def test_a_group_of_a_class_of_its_own_comes_back_as_that():
    found = back(Trouble("t", [ValueError(1)], 7))

    assert (type(found), found.code, found.message) == (Trouble, 7, "t")


def test_a_group_that_is_not_loaded_is_a_group_all_the_same():
    found = exception_of(replace(error_of(Trouble("t", [ValueError(1)], 7)), module="no.such"))

    assert isinstance(found, errors.TaskError)
    assert isinstance(found, ExceptionGroup)
    assert (type(found).__name__, found.code) == ("Trouble", 7)


def test_a_group_with_what_is_no_exception_comes_back_as_one_of_exceptions():
    found = back(BaseExceptionGroup("b", [KeyboardInterrupt(), ValueError(1)]))

    assert type(found) is ExceptionGroup
    assert [type(member).__name__ for member in found.exceptions] == ["KeyboardInterrupt", "ValueError"]


def test_only_so_many_members_are_recorded_and_groups_inside_groups():
    assert (
        len(back(ExceptionGroup("many", [ValueError(n) for n in range(MEMBERS + 5)])).exceptions) == MEMBERS
    )
    exc = ValueError("deep")
    for _ in range(50):
        exc = ExceptionGroup("g", [exc])
    found, depth = back(exc), 0
    while isinstance(found, ExceptionGroup):
        found, depth = found.exceptions[0], depth + 1
    assert depth == DEPTH - 1
    assert isinstance(found, errors.TaskError)


# --- causes --------------------------------------------------------------------------------------------------------------------


def chained(depth):
    exc = ValueError(0)
    for number in range(1, depth):
        exc, exc.__cause__ = ValueError(number), exc
    return exc


def test_causes_come_back():
    found = back(chained(3))

    assert (found.args, found.__cause__.args, found.__cause__.__cause__.args) == ((2,), (1,), (0,))


def test_the_context_is_a_cause_unless_it_was_suppressed():
    def raising(**how):
        try:
            raise KeyError("first")  # noqa: TRY301
        except KeyError:
            if how:
                raise ValueError("second") from None
            raise ValueError("second")  # noqa: B904

    for how, cause in (({}, KeyError), ({"quiet": True}, type(None))):
        with pytest.raises(ValueError) as caught:
            raising(**how)
        assert isinstance(back(caught.value).__cause__, cause)


def test_only_so_many_causes_are_recorded_and_a_circle_ends():
    assert _depth(back(chained(50))) == DEPTH
    one, two = ValueError(1), ValueError(2)
    one.__cause__, two.__cause__ = two, one
    assert _depth(back(one)) == DEPTH


def _depth(exc):
    return 0 if exc is None else 1 + _depth(exc.__cause__)


# --- tracebacks ----------------------------------------------------------------------------------------------------------------


def test_a_traceback_ends_with_the_error_and_is_cut_at_its_beginning():
    text = traceback_of(raised(ValueError("x" * 2 * TRACEBACK_CHARACTERS)))

    assert len(text) == TRACEBACK_CHARACTERS
    assert text.endswith("x\n")


def test_frames_of_the_event_loop_in_front_are_dropped():
    async def fails():
        raise ValueError("no")

    with pytest.raises(ValueError) as caught:
        asyncio.run(fails())
    frames = caught.value.__traceback__.tb_next  # as it is where execute.py runs the coroutine

    text = traceback_of(caught.value.with_traceback(frames))

    assert "asyncio" not in text
    assert "in fails" in text
