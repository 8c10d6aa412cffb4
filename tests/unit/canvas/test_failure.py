"""Exceptions as data and back: by name, never by import, and whatever a class does."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest
from backbeat.canvas import errors
from backbeat.canvas.failure import DEPTH, TRACEBACK_CHARACTERS, error_of, exception_of, traceback_of
from backbeat.canvas.outcome import Error


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


def test_errors_of_our_own_are_recorded_as_ours():
    error = error_of(errors.JoinLost("gone"))

    assert error.module == "backbeat.canvas.errors"
    assert type(exception_of(error)) is errors.JoinLost


def test_a_users_class_of_a_shared_name_is_not_taken_for_ours():
    cls = type("ChordError", (Exception,), {"__module__": "elsewhere"})

    assert error_of(cls("x")).module == "elsewhere"


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


def test_a_class_that_cannot_be_made_at_all_is_made_up():
    found = back(OwnNew(5, "text"))

    assert type(found).__name__ == "OwnNew"
    assert found.args == ("text",)


def test_an_exception_without_a_text_still_is_an_error():
    error = error_of(NoText("x"))

    assert "NoText" in error.text
    assert type(exception_of(error)) is NoText
    assert traceback_of(raised(NoText("x")))


def test_arguments_that_are_no_json_are_recorded_by_their_repr():
    assert back(ValueError({1}, object)).args == ("{1}", "<class 'object'>")
    assert back(ValueError(NoRepr())).args == ("<NoRepr>",)


def test_binary_arguments_survive():
    exc = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid")

    assert str(back(exc)) == str(exc)


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
