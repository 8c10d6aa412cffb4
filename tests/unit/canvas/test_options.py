"""What apply_async takes: names and values are checked, and laid onto the right calls of a canvas."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from backbeat.canvas import App
from backbeat.canvas.errors import ImproperlyConfigured
from backbeat.canvas.node import Call, Chain, Group
from backbeat.canvas.options import Given, checked, laid_on, named
from backbeat.canvas.request import Request, running

from support.number_doubles import Indexed, Whole

# --- checked -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"), [("coundown", "countdown"), ("queues", "queue"), ("expire", "expires")]
)
def test_an_unknown_option_is_a_type_error_with_a_suggestion(name, meant):
    with pytest.raises(TypeError, match=rf"no option '{name}'; did you mean '{meant}'\?"):
        checked({name: 1})


def test_an_option_like_no_other_is_refused_with_the_place_for_own_values():
    with pytest.raises(TypeError, match=r"no option 'zzzzzz'\. Values of your own go under headers"):
        checked({"zzzzzz": 1})


def test_none_is_as_if_it_were_not_given():
    assert checked({"countdown": None, "queue": None, "expires": None, "priority": 0}) == {"priority": 0}


def test_objects_of_the_sending_process_travel_with_no_message(app):
    """A step or a callback is written into the message of another task, and so are its options."""
    given = {"connection": object(), "producer": object(), "router": object(), "errback": print}
    step = app.signature("t").set(**given)

    assert checked({**given, "priority": 1}) == {"priority": 1}
    assert (step | step | step).apply_async(link=step, **given).id
    with pytest.raises(TypeError):
        json.dumps(given)  # they could not be written


@pytest.mark.parametrize("value", [-1, 1.5, "3", True])
def test_what_is_no_number_of_retries_is_refused(value):
    with pytest.raises(ImproperlyConfigured, match="max_retries must be a whole number from 0 on"):
        checked({"max_retries": value})


def test_a_number_of_retries_may_be_none_at_all():
    assert checked({"max_retries": 0}) == {"max_retries": 0}


@pytest.mark.parametrize("name", ["countdown", "expires"])
@pytest.mark.parametrize(
    ("value", "seconds"), [(3, 3.0), (0, 0.0), (-1, -1.0), (0.5, 0.5), (timedelta(minutes=2), 120.0)]
)
def test_durations_are_seconds_or_timedeltas(name, value, seconds):
    assert checked({name: value}) == {name: seconds}


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("countdown", Whole(3), 3.0),
        ("countdown", Indexed(3), 3.0),
        ("countdown", Decimal("2.5"), 2.5),
        ("expires", Fraction(1, 2), 0.5),
        ("expires", Whole(60), 60.0),
        ("priority", Whole(3), 3),
        ("priority", Indexed(3), 3),
        ("max_retries", Whole(0), 0),
        ("time_limit", timedelta(minutes=1), 60.0),
        ("soft_time_limit", Decimal(5), 5.0),
        ("retries", Whole(1), 1),
    ],
)
def test_numbers_of_other_types_become_python_s_own(name, value, meant):
    found = checked({name: value})[name]

    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Fraction(10**400)])
def test_a_decimal_that_is_no_number_is_no_countdown(value):
    with pytest.raises(ImproperlyConfigured, match="countdown must be seconds"):
        checked({"countdown": value})


@pytest.mark.parametrize(
    "value", ["3", True, [3], float("nan"), float("inf"), 1e30, 10**400, datetime.now(UTC)]
)
def test_what_is_no_number_of_seconds_is_no_countdown(value):
    with pytest.raises(ImproperlyConfigured, match="countdown must be seconds"):
        checked({"countdown": value})


@pytest.mark.parametrize("name", ["eta", "expires"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=3))), "2026-01-02T00:00:00+00:00"),
        ("2026-01-02T03:00:00+03:00", "2026-01-02T03:00:00+03:00"),
        ("2026-01-02", "2026-01-02"),
    ],
)
def test_moments_are_aware_datetimes_or_iso_texts(name, value, text):
    assert checked({name: value}) == {name: text}


@pytest.mark.parametrize("name", ["eta", "expires"])
def test_a_naive_moment_is_refused_and_says_what_to_write(name):
    with pytest.raises(ImproperlyConfigured, match=rf"{name} .* has no time zone; write datetime.now\(UTC\)"):
        checked({name: datetime(2026, 1, 2)})


@pytest.mark.parametrize("value", ["tomorrow", "", [1], "9999-12-31T23:59:59-10:00"])
def test_what_is_no_moment_is_refused(value):
    with pytest.raises(ImproperlyConfigured, match="eta must be an aware datetime or an ISO 8601 text"):
        checked({"eta": value})


def test_an_eta_is_no_number():
    with pytest.raises(ImproperlyConfigured, match="eta must be"):
        checked({"eta": 5})


def test_headers_are_a_map_that_json_can_hold():
    assert checked({"headers": {"a": [1, None]}}) == {"headers": {"a": [1, None]}}
    for value in ("text", [("a", 1)], {1: 2}):
        with pytest.raises(ImproperlyConfigured, match="headers must be a map"):
            checked({"headers": value})


def test_a_shadow_and_a_queue_for_the_answer_may_be_empty_and_have_255_bytes():
    for value in ("", "s" * 255):
        assert checked({"shadow": value, "reply_to": value}) == {"shadow": value, "reply_to": value}


NAN, INF = float("nan"), float("inf")
REFUSED = {
    "time_limit": (
        "seconds above 0 and at most a century",
        [NAN, INF, -1, 0, True, "5", timedelta(0), 1e300],
    ),
    "soft_time_limit": ("seconds above 0 and at most a century", [NAN, INF, -1, 0, True, "5"]),
    "expires": ("seconds", [NAN, INF, 1e300]),
    "priority": ("a whole number from 0 to 255", [-1, 256, 2.0, True, "3", NAN]),
    "ignore_result": ("True or False", ["no", "false", 0, 1]),
    "queue": ("a printable text of 1 to 255 bytes", ["", "a\0b", 5, "q" * 256]),
    "routing_key": ("a printable text of 1 to 255 bytes", [5, "a\n"]),
    "task_id": ("a printable text of 1 to 255 bytes", ["", 5]),
    "shadow": ("a printable text of 1 to 255 bytes", [5, "s" * 256, "\N{SNOWMAN}" * 86, "a\n", "\ud800"]),
    "retries": ("a whole number from 0", [-1, "1"]),
    "group_index": ("a whole number from 0", [-1, "x"]),
    "group_id": ("a printable text", [5]),
    "reply_to": ("a printable text of 1 to 255 bytes", [5, "r" * 256, "a\0"]),
}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [(name, value, text) for name, (text, values) in REFUSED.items() for value in values],
)
def test_what_no_worker_would_take_or_nobody_can_mean_is_not_sent(name, value, text):
    with pytest.raises(ImproperlyConfigured, match=f"{name} must be {text}"):
        checked({name: value})


@pytest.mark.parametrize("value", ["pickle", "yaml", 5])
def test_what_shall_not_be_json_is_not_sent_as_json(value):
    with pytest.raises(
        ImproperlyConfigured, match=r"serializer .* is not supported by this version: messages are JSON"
    ):
        checked({"serializer": value})
    assert checked({"serializer": "json"}) == {"serializer": "json"}


@pytest.mark.parametrize("name", ["id", "task", "eta", "timelimit", "compression", "backbeat_errback"])
def test_a_header_of_a_message_s_own_is_no_name_for_another_value(name):
    with pytest.raises(ImproperlyConfigured, match=f"headers cannot have '{name}'.*choose another one"):
        checked({"headers": {"mine": 1, name: "x"}})


# --- from the call to the message ------------------------------------------------------------------------------------------------


@pytest.fixture
def app():
    made = App("proj", broker="memory://", set_as_current=False)
    made.task(name="limited", time_limit=60, soft_time_limit=50)(print)
    return made


@pytest.mark.parametrize("soft", [5, 6])
def test_a_soft_limit_that_could_never_be_told_is_refused(app, soft):
    text = f"soft_time_limit must be below time_limit: {soft} is not below 5"

    with pytest.raises(ImproperlyConfigured, match=text):
        app.prepare(app.signature("t"), options={"time_limit": 5, "soft_time_limit": soft})
    with pytest.raises(ImproperlyConfigured, match=text):
        app.prepare(app.signature("t").set(soft_time_limit=soft), options={"time_limit": 5})


def test_a_call_may_be_ended_before_the_soft_limit_of_its_task(app):
    """It is the caller's word against the task's, and both may be meant."""
    options = app.prepare(app.signature("limited"), options={"time_limit": 5}).options

    assert (options["time_limit"], options["soft_time_limit"]) == (5, 50)


def test_the_limits_of_tasks_and_calls_may_be_timedeltas(app):
    app.task(name="brief", time_limit=timedelta(minutes=1), soft_time_limit=Decimal(30))(print)
    task = app.tasks["brief"]

    assert (task.options.time_limit, task.options.soft_time_limit) == (60.0, 30.0)
    assert app.prepare(task.s()).options["time_limit"] == 60.0
    signature = app.signature("t").set(time_limit=timedelta(seconds=9), soft_time_limit=3)
    assert app.prepare(signature).options["time_limit"] == 9.0
    with pytest.raises(ImproperlyConfigured, match="soft_time_limit must be below time_limit"):
        app.prepare(app.signature("t").set(time_limit=timedelta(seconds=2), soft_time_limit=3))


@pytest.mark.parametrize("value", ["", 5, "a\0", "x" * 256])
def test_an_id_that_no_store_takes_is_refused(app, value):
    with pytest.raises(ImproperlyConfigured, match="task_id must be a printable text"):
        app.prepare(app.signature("t"), options={"task_id": value})


def test_an_id_that_a_signature_was_given_is_looked_at_too(app):
    with pytest.raises(ImproperlyConfigured, match="task_id must be a printable text"):
        app.prepare(app.signature("t").set(task_id="x" * 256))


@pytest.mark.parametrize("name", ["t" * 256, "a\nb"])
def test_a_task_s_name_that_no_worker_takes_is_not_sent(app, name):
    with pytest.raises(ImproperlyConfigured, match="a task's name must be a printable text"):
        app.prepare(app.signature(name))


@pytest.mark.parametrize("args", ["abc", b"abc", {"a": 1}, 5])
def test_arguments_are_no_text_of_which_each_letter_would_be_one(app, args):
    task = app.task(name="any")(lambda *args: args)
    ways = [
        lambda: task.apply_async(args),
        lambda: app.send_task("any", args),
        lambda: app.signature("any", args),
        lambda: app.signature({"task": "any", "args": args}),
        lambda: task.s().replace(args=args),
    ]

    for way in ways:
        with pytest.raises(TypeError, match="args must be a list or a tuple, found"):
            way()


@pytest.mark.parametrize("kwargs", ["a", [("a", 1)], {5: 1}, 5])
def test_keyword_arguments_are_a_map_of_names(app, kwargs):
    task = app.task(name="any")(lambda **kwargs: kwargs)
    ways = [
        lambda: task.apply_async((), kwargs),
        lambda: app.send_task("any", (), kwargs),
        lambda: app.signature("any", (), kwargs),
        lambda: task.s().replace(kwargs=kwargs),
    ]

    for way in ways:
        with pytest.raises(TypeError, match="kwargs must be a map with texts as keys, found"):
            way()


@pytest.mark.parametrize("value", ["no", 0, 1])
def test_a_signature_is_immutable_or_not(app, value):
    sig = app.signature("any")
    ways = [
        lambda: sig.set(immutable=value),
        lambda: sig.set_immutable(value),
        lambda: sig.clone(immutable=value),
        lambda: app.task(name="any")(print).signature(immutable=value),
    ]

    for way in ways:
        with pytest.raises(ImproperlyConfigured, match="immutable must be True or False"):
            way()


def test_arguments_may_come_from_a_generator(app):
    assert app.prepare(app.signature("t"), args=(x for x in (1, 2))).args == "[1,2]"


@pytest.mark.parametrize("name", ["link", "link_error"])
def test_what_is_no_callback_is_refused(app, name):
    with pytest.raises(TypeError, match="a signature is of a task or of its name, found 5"):
        app.prepare(app.signature("t"), options={name: 5})


def test_queues_of_rabbitmq_s_own_are_refused_wherever_they_are_named_and_there_alone():
    rabbit = App("proj", broker="amqp://nowhere.invalid", set_as_current=False)
    rabbit.conf.task_routes = {"routed": "amq.x"}
    rabbit.task(name="own", queue="amq.x")(print)
    rabbit.task(name="retried", retry_kwargs={"queue": "amq.x"})(print)
    elsewhere = App("proj", broker="redis://nowhere.invalid", set_as_current=False)
    again = rabbit.task(name="again", bind=True)(lambda *args: args)
    ways = [
        lambda: rabbit.send_task("t", queue="amq.x"),
        lambda: rabbit.send_task("routed"),
        rabbit.tasks["own"].delay,
        rabbit.tasks["retried"].delay,
        (again.si() | again.si().set(queue="amq.x")).delay,
        lambda: again.apply_async(link_error=again.s().set(queue="amq.x")),
        lambda: again.retry(queue="amq.x"),
    ]

    with running(Request(id="i", task="again", called_directly=False)):
        for way in ways:
            with pytest.raises(
                ImproperlyConfigured, match=r"queue names that begin with amq\. are RabbitMQ's own"
            ):
                way()
    assert elsewhere.prepare(elsewhere.signature("t").set(queue="amq.x")).options["queue"] == "amq.x"
    assert rabbit.prepare(rabbit.signature("t").set(queue="amqx")).options["queue"] == "amqx"


# --- laid on -------------------------------------------------------------------------------------------------------------------


def call(task, *args, **known):
    return Call(task=task, args=json.dumps(list(args)), **known)


A, B, C, D = (call(name, name) for name in "ABCD")
LINK, ERRBACK = Call(task="link"), Call(task="errback")


def args_of(*found):
    return [json.loads(item.args) for item in found]


def test_arguments_go_in_front_and_keywords_and_options_win():
    node = call("a", 1, kwargs='{"x": 1, "y": 2}', options={"queue": "slow", "priority": 1})

    laid = laid_on(node, Given(args=[0], kwargs={"x": 5}, options={"queue": "fast"}))

    assert args_of(laid) == [[0, 1]]
    assert json.loads(laid.kwargs) == {"x": 5, "y": 2}
    assert laid.options == {"queue": "fast", "priority": 1}


@pytest.mark.parametrize(
    ("front", "own", "both"), [([], [], []), ([1], [], [1]), ([], [2], [2]), ([1], [2], [1, 2])]
)
def test_arguments_are_joined_as_lists(front, own, both):
    assert args_of(laid_on(call("a", *own), Given(args=front))) == [both]


def test_an_immutable_call_takes_options_only():
    laid = laid_on(call("a", 1, immutable=True), Given(args=[0], kwargs={"x": 1}, options={"queue": "q"}))

    assert (args_of(laid), laid.kwargs, laid.options) == ([[1]], "{}", {"queue": "q"})


def test_a_chains_arguments_and_options_go_to_the_first_step_only():
    laid = laid_on(Chain(steps=(A, B, C)), Given(args=[0], kwargs={"k": 1}, options={"countdown": 3.0}))

    assert args_of(*laid.steps) == [[0, "A"], ["B"], ["C"]]
    assert [dict(step.options) for step in laid.steps] == [{"countdown": 3.0}, {}, {}]
    assert [step.kwargs == "{}" for step in laid.steps] == [False, True, True]


def test_a_groups_arguments_and_options_go_to_every_member():
    node = Group(members=(A, Chain(steps=(B, C))))

    laid = laid_on(node, Given(args=[0], options={"queue": "q"}))

    first, (second, third) = laid.members[0], laid.members[1].steps
    assert args_of(first, second, third) == [[0, "A"], [0, "B"], ["C"]]
    assert [dict(c.options) for c in (first, second, third)] == [{"queue": "q"}, {"queue": "q"}, {}]


def test_a_chords_arguments_and_options_go_to_its_header():
    laid = laid_on(Chain(steps=(Group(members=(A, B)), C)), Given(args=[0], options={"countdown": 3.0}))

    header, body = laid.steps
    assert args_of(*header.members, body) == [[0, "A"], [0, "B"], ["C"]]
    assert [dict(c.options) for c in (*header.members, body)] == [{"countdown": 3.0}] * 2 + [{}]


def test_link_goes_to_the_end():
    assert laid_on(A, Given(link=(LINK,))).link == (LINK,)
    assert [s.link for s in laid_on(Chain(steps=(A, B)), Given(link=(LINK,))).steps] == [(), (LINK,)]
    chord = laid_on(Chain(steps=(Group(members=(A,)), B)), Given(link=(LINK,)))
    assert (chord.steps[0].members[0].link, chord.steps[1].link) == ((), (LINK,))


def test_link_on_a_group_is_refused_with_the_word_chord():
    for node in (Group(members=(A,)), Chain(steps=(A, Group(members=(B,))))):
        with pytest.raises(TypeError, match="chord"):
            laid_on(node, Given(link=(LINK,)))


def test_an_equal_link_is_added_once():
    node = call("a", link=(LINK,))

    assert laid_on(node, Given(link=(LINK, Call(task="other")))).link == (LINK, Call(task="other"))


def test_link_error_goes_to_every_step_and_every_member_but_not_to_a_header():
    given = Given(link_error=(ERRBACK,))

    assert laid_on(A, given).link_error == (ERRBACK,)
    assert [s.link_error for s in laid_on(Chain(steps=(A, B)), given).steps] == [(ERRBACK,)] * 2
    assert [m.link_error for m in laid_on(Group(members=(A, B)), given).members] == [(ERRBACK,)] * 2
    header, body = laid_on(Chain(steps=(Group(members=(A, B)), C)), given).steps
    assert [c.link_error for c in (*header.members, body)] == [(), (), (ERRBACK,)]
    first, last = laid_on(Chain(steps=(A, Group(members=(B,)))), given).steps
    assert [first.link_error, last.members[0].link_error] == [(ERRBACK,)] * 2


def test_a_task_id_names_what_the_value_is_found_under():
    assert named(A, "x").id == "x"
    assert named(Group(members=(A,)), "x").id == "x"
    assert [step.id for step in named(Chain(steps=(A, B)), "x").steps] == ["", "x"]
    assert named(A, None) is A
