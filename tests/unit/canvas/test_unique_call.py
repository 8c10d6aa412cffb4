"""unique_key, unique_scope and unique_conflict: which values there are, and which keys they make."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from backbeat.canvas import App, chain, chord, group
from backbeat.canvas.errors import ImproperlyConfigured, TaskError, UniqueConflict
from backbeat.canvas.options import checked
from backbeat.canvas.retry_call import retry_call
from backbeat.canvas.unique import Conflict, Scope, Unique
from backbeat.canvas.unique_call import UniqueCall

MANY = "x" * 256
NOTHING = object()


@pytest.fixture
def app():
    return App("shop", broker="memory://unique-call", set_as_current=False)


def key_of(app, task, args=(), kwargs=None, **options):
    """The key that a call of `task` asks for."""
    asked = asked_by(app, task, args, kwargs, **options)
    return None if asked is None else asked.unique.key


def asked_by(app, task, args=(), kwargs=None, **options):
    signature = app.signature(task)
    node, asked = app._defaults.keyed(app.prepare(signature, args, kwargs, {"task_id": "id", **options}))
    assert not [name for name in node.options if name.startswith("unique")]
    return asked


def define(app, run=None, **options):
    return app.task(name="sync", **options)(run or (lambda user_id, kind="all", *, force=False: None))


# --- values ------------------------------------------------------------------------------------------------------------------------


def test_r18_the_options_are_checked_and_kept():
    given = {"unique_key": "key", "unique_scope": timedelta(minutes=2), "unique_conflict": "replace"}

    assert checked(given) == {**given, "unique_scope": 120.0}
    assert checked({"unique_key": True, "unique_scope": "pending"}) == {
        "unique_key": True,
        "unique_scope": "pending",
    }


@pytest.mark.parametrize("value", ["", MANY, "two\nlines", 5, ["a"], "\N{SNOWMAN}" * 86])
def test_r18_what_can_be_no_key_is_refused(value):
    with pytest.raises(ImproperlyConfigured, match="unique_key must be"):
        checked({"unique_key": value})


@pytest.mark.parametrize(
    "value", ["forever", 0, -1, True, float("nan"), float("inf"), 1e12, timedelta(0), []]
)
def test_r18_what_is_no_scope_is_refused(value):
    with pytest.raises(ImproperlyConfigured, match='unique_scope must be "pending", "running", or seconds'):
        checked({"unique_key": "key", "unique_scope": value})


@pytest.mark.parametrize("value", ["ignore", True, 1, [], Conflict.RAISE])
def test_r18_what_is_no_policy_is_refused(value):
    with pytest.raises(
        ImproperlyConfigured, match='unique_conflict must be "existing", "replace" or "raise"'
    ):
        checked({"unique_key": "key", "unique_conflict": value})


def test_r18_a_retry_keeps_its_key_and_takes_no_other():
    with pytest.raises(TypeError, match="a retry cannot have 'unique_key'"):
        retry_call({"unique_key": "other"})


def test_r18_a_scope_without_a_key_is_refused(app):
    with pytest.raises(ImproperlyConfigured, match="task sync: unique_scope and unique_conflict without"):
        define(app, unique_scope="pending", unique_conflict="raise")
    with pytest.raises(ImproperlyConfigured, match="unique_scope without a unique_key means nothing"):
        asked_by(app, define(app), [1], unique_scope="pending")


def test_r18_a_conflict_is_a_task_error_that_names_key_and_holder():
    error = UniqueConflict("user:1", "abc")

    assert isinstance(error, TaskError)
    assert (error.key, error.task_id) == ("user:1", "abc")
    assert str(error) == "task abc has the unique key 'user:1'"
    assert error.args == ("user:1", "abc")


# --- what is asked -----------------------------------------------------------------------------------------------------------------


def test_r18_by_default_a_key_is_held_while_the_task_runs_and_a_conflict_gives_the_existing_one(app):
    assert asked_by(app, define(app), [1], unique_key="key") == UniqueCall(
        Unique(key="key", id="id", scope=Scope.RUNNING), Conflict.EXISTING
    )


def test_r18_a_call_asks_for_nothing_unless_it_is_told(app):
    assert asked_by(app, define(app), [1]) is None


def test_r18_a_call_says_more_than_its_task(app):
    task = define(app, unique_key="u:{user_id}", unique_scope=60, unique_conflict="raise")

    assert asked_by(app, task, [1]) == UniqueCall(
        Unique(key="u:1", id="id", scope=Scope.TIME, seconds=60.0), Conflict.RAISE
    )
    assert asked_by(app, task, [1], unique_key="mine", unique_conflict="replace") == UniqueCall(
        Unique(key="mine", id="id", scope=Scope.TIME, seconds=60.0, replaces=True), Conflict.REPLACE
    )
    assert asked_by(app, task, [1], unique_key=False) is None


def test_r18_a_task_that_is_not_known_here_is_sent_with_the_key_of_the_call(app):
    assert key_of(app, "elsewhere.sync", [1], unique_key="key") == "key"


# --- keys --------------------------------------------------------------------------------------------------------------------------


def test_r18_true_is_the_same_key_for_the_same_arguments_however_they_are_given(app):
    task = define(app, unique_key=True)
    same = [
        key_of(app, task, [1]),
        key_of(app, task, [], {"user_id": 1}),
        key_of(app, task, [1, "all"]),
        key_of(app, task, [1], {"force": False, "kind": "all"}),
    ]
    others = [key_of(app, task, [2]), key_of(app, task, [1, "few"]), key_of(app, task, ["1"])]

    assert len(set(same)) == 1
    assert len({*same, *others}) == 4
    assert same[0].startswith("sync:")


def test_r18_true_takes_arguments_apart_by_their_values_not_by_the_order_of_their_keys(app):
    task = define(app, unique_key=True)

    assert key_of(app, task, [{"a": 1, "b": 2}]) == key_of(app, task, [{"b": 2, "a": 1}])
    assert key_of(app, task, [1], {"force": 0}) != key_of(app, task, [1], {"force": False})


def test_r18_true_with_a_task_that_is_not_known_here_is_made_of_the_arguments_as_they_are(app):
    first = key_of(app, "elsewhere", [1], unique_key=True)

    assert first == key_of(app, "elsewhere", [1], unique_key=True)
    assert first != key_of(app, "other", [1], unique_key=True)
    assert first != key_of(app, "elsewhere", [], {"x": 1}, unique_key=True)


def test_r18_true_makes_a_key_that_fits_of_a_long_name(app):
    key = key_of(app, "n" * 250, [1], unique_key=True)

    assert len(key) <= 255
    assert key != key_of(app, "n" * 249, [1], unique_key=True)


def test_r18_a_default_that_cannot_be_sent_is_no_argument(app):
    task = define(app, lambda a, b=NOTHING: None, unique_key=True)

    assert key_of(app, task, [1]) == key_of(app, task, [], {"a": 1})


def test_r18_a_text_of_a_task_names_parameters(app):
    task = define(app, unique_key="{kind}/user:{user_id}/{{}}/{force}")

    assert key_of(app, task, [7]) == "all/user:7/{}/False"
    assert key_of(app, task, [], {"user_id": "x", "force": True}) == "all/user:x/{}/True"


def test_r18_a_text_of_a_task_may_name_what_only_some_calls_have(app):
    task = define(app, lambda **more: None, unique_key="{tenant}")

    assert key_of(app, task, [], {"tenant": "acme"}) == "acme"
    with pytest.raises(
        ImproperlyConfigured, match=r"task sync: unique_key '\{tenant\}' names 'tenant', which this"
    ):
        key_of(app, task)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{user}", "names 'user'; the task's parameters are user_id, kind, force"),
        ("{user_id.real}", "must be the name of a parameter alone"),
        ("{user_id[0]}", "must be the name of a parameter alone"),
        ("{user_id!r}", "must be the name of a parameter alone"),
        ("{user_id:>5}", "must be the name of a parameter alone"),
        ("{0}", "must be the name of a parameter alone"),
        ("{}", "must be the name of a parameter alone"),
        ("{user_id", "write {{ and }} for braces"),
    ],
)
def test_r18_a_text_that_cannot_be_filled_in_is_refused_where_the_task_is_defined(app, text, why):
    with pytest.raises(ImproperlyConfigured, match="task sync: unique_key") as refused:
        define(app, unique_key=text)

    assert why in str(refused.value)


def test_r18_a_text_of_a_call_is_the_key_as_it_is(app):
    """Callers put together texts of what others typed: those must name nothing."""
    assert key_of(app, define(app), [1], unique_key="{user_id} {0.__class__}") == "{user_id} {0.__class__}"


def test_r18_a_callable_gets_the_arguments_and_makes_the_key(app):
    task = define(
        app, unique_key=lambda user_id, kind="all", *, force=False: None if force else f"{user_id}/{kind}"
    )

    assert key_of(app, task, [1]) == "1/all"
    assert key_of(app, task, [1], {"kind": "few"}) == "1/few"
    assert key_of(app, task, [1], {"force": True}) is None
    assert key_of(app, task, [1], unique_key=lambda user_id: f"own/{user_id}") == "own/1"


@pytest.mark.parametrize("made", [5, "", MANY, "a\0b"])
def test_r18_a_callable_that_makes_no_key_is_refused(app, made):
    with pytest.raises(
        ImproperlyConfigured, match="task sync: a unique_key must be a printable text of 1 to 255"
    ):
        key_of(app, define(app), [1], unique_key=lambda _: made)


def test_r18_a_bound_task_has_its_key_of_its_arguments(app):
    bound = app.task(name="bound", bind=True, unique_key="{x}")(lambda self, x: None)

    assert key_of(app, bound, [3]) == "3"


# --- canvases ----------------------------------------------------------------------------------------------------------------------


def canvases(task):
    plain = task.app.task(name="plain")(lambda *_: None)
    return {
        "chain": chain(plain.s(), task.s(1)),
        "first of a chain": chain(task.s(1), plain.s()),
        "group": group(plain.s(), task.s(1)),
        "header": chord([task.s(1)], plain.s()),
        "body": chord([plain.s()], task.s(1)),
    }


@pytest.mark.parametrize("name", ["chain", "first of a chain", "group", "header", "body"])
def test_r18_a_unique_task_in_a_canvas_is_refused(app, name):
    with pytest.raises(
        ImproperlyConfigured, match="task sync has a unique_key, and so it cannot be part of a chain"
    ):
        canvases(define(app, unique_key=True))[name].apply_async()


@pytest.mark.parametrize("name", ["chain", "group", "body"])
def test_r18_a_canvas_takes_no_unique_key(app, name):
    with pytest.raises(ImproperlyConfigured, match="has a unique_key, and so it cannot be part of a chain"):
        canvases(define(app))[name].apply_async(unique_key="key")


@pytest.mark.parametrize("how", ["link", "link_error"])
def test_r18_a_unique_task_is_no_callback(app, how):
    task = define(app, unique_key=True)
    plain = app.task(name="plain")(lambda *_: None)
    with pytest.raises(ImproperlyConfigured, match=r"task sync has a unique_key, .* nor a callback"):
        plain.apply_async(**{how: task.s(1)})
    with pytest.raises(ImproperlyConfigured, match=r"task sync has a unique_key, .* nor a callback"):
        task.apply_async([1], **{how: task.s(1)})


def test_r18_a_unique_task_may_be_part_of_a_canvas_without_its_key(app):
    task = define(app, unique_key=True)
    node = app.prepare(group(task.s(1).set(unique_key=False), task.s(2).set(unique_key=False)))

    assert [member.options.get("unique_key", "none") for member in node.members] == ["none", "none"]


def test_r18_a_schedule_takes_no_key(app):
    define(app, unique_key=True)
    signature = {"task": "sync", "args": [1], "options": {"unique_key": "key"}}
    with pytest.raises(ImproperlyConfigured, match="task sync: a unique_key is taken by apply_async alone"):
        app.resolved_from_data(signature)

    node = app.resolved_from_data({"task": "sync", "args": [1], "options": {"unique_conflict": "raise"}})
    json.dumps(dict(node.options))
    assert not [name for name in node.options if name.startswith("unique")]


def test_r18_arguments_that_the_function_does_not_take_make_no_key_and_are_refused(app):
    task = define(app, unique_key=True)

    with pytest.raises(ImproperlyConfigured, match=r"task sync: .*unexpected keyword argument 'nobody'"):
        key_of(app, task, [1], {"nobody": 2})
