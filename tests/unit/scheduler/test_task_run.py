"""What is known of a task after events in any order, results, and what stands in for arguments in full."""

from __future__ import annotations

import json

import pytest
from backbeat.canvas.outcome import Error
from backbeat.canvas.results.document import Document
from backbeat.scheduler.history.argument_text import Arguments, arguments_of
from backbeat.scheduler.history.task_run import TaskRun, after_event, after_result, after_start, is_told
from hypothesis import given
from hypothesis import strategies as st

T0 = 1_700_000_000


def event(kind, at, **fields):
    return {"type": f"task-{kind}", "uuid": "t1", "hostname": "w1", "timestamp": T0 + at, **fields}


CALL = {
    "name": "shop.add",
    "args": "(1, 2)",
    "kwargs": "{}",
    "root_id": "r1",
    "parent_id": None,
    "retries": 0,
}
ONE_TRY = [
    event("sent", 1, queue="fast", **CALL),
    event("received", 2, **CALL),
    event("started", 3),
    event("succeeded", 4, result="3", runtime=0.5),
]
TWO_TRIES = [
    event("received", 2, **CALL),
    event("started", 3),
    event("retried", 4, exception="OSError('away')", traceback="Traceback"),
    event("received", 5, **{**CALL, "retries": 1}),
    event("started", 6),
]


def heard(events, run=None):
    for each in events:
        run = after_event(run, each, 0)
    return run


def test_a_task_goes_from_sent_to_success():
    run = heard(ONE_TRY)

    assert (run.state, run.name, run.queue, run.worker, run.root_id) == (
        "SUCCESS",
        "shop.add",
        "fast",
        "w1",
        "r1",
    )
    assert (run.sent_us, run.received_us, run.started_us, run.ended_us) == tuple(
        (T0 + n) * 1_000_000 for n in (1, 2, 3, 4)
    )
    assert (run.result, run.seconds, run.arguments) == ("3", 0.5, Arguments("[1, 2]", "{}", is_whole=True))
    assert [each.state for each in run.attempts] == ["SUCCESS"]


@given(st.permutations(ONE_TRY + ONE_TRY))
def test_the_order_of_events_and_copies_of_them_change_nothing(events):
    run = heard(events)

    expected = heard(ONE_TRY)
    for name in (
        "state",
        "name",
        "queue",
        "worker",
        "sent_us",
        "received_us",
        "started_us",
        "ended_us",
        "result",
        "seconds",
    ):
        assert getattr(run, name) == getattr(expected, name)
    assert len(run.attempts) == 1


@given(st.permutations(TWO_TRIES))
def test_a_retry_told_late_does_not_hide_that_the_next_try_runs(events):
    run = heard(events)

    assert (run.state, run.retries) == ("STARTED", 1)
    assert [each.state for each in run.attempts] == ["RETRY"]


def test_a_task_that_was_sent_again_after_its_end_runs_again():
    run = heard([*ONE_TRY, event("received", 10, **CALL), event("started", 11)])

    assert (run.state, run.ended_us, run.result, len(run.attempts)) == ("STARTED", None, "", 1)


def test_the_end_counts_whatever_the_clock_of_the_other_worker_says():
    run = heard([*TWO_TRIES, event("succeeded", 1, result="3", runtime=0.1)])

    assert run.state == "SUCCESS"


@pytest.mark.parametrize(
    ("kind", "fields", "state", "error"),
    [
        (
            "failed",
            {"exception": "ValueError('no')", "traceback": "Traceback ..."},
            "FAILURE",
            "ValueError('no')",
        ),
        ("revoked", {"terminated": True}, "REVOKED", "terminated"),
        ("revoked", {"expired": True}, "REVOKED", "expired"),
        ("rejected", {"requeue": False}, "REJECTED", ""),
    ],
)
def test_other_ends_are_told_by_name_and_cause(kind, fields, state, error):
    run = heard([*ONE_TRY[:3], event(kind, 4, **fields)])

    assert (run.state, run.error) == (state, error)
    assert run.seconds == 1.0  # from its start to its end, where the event does not say


@pytest.mark.parametrize(
    "event_",
    [
        {},
        {"type": "worker-heartbeat", "uuid": "x"},
        {"type": "task-sent"},
        {"type": "task-what", "uuid": "x"},
    ],
)
def test_what_tells_nothing_of_a_task_is_passed_over(event_):
    assert not is_told(event_)


def test_odd_values_in_an_event_are_kept_as_text():
    odd = event("received", 2, name=["x" * 300], args=None, kwargs=7, retries="many", eta=5, root_id={"a": 1})

    run = heard(
        [odd, {"type": "task-failed", "uuid": "t1", "timestamp": "soon", "exception": 7, "traceback": ["no"]}]
    )

    assert run.name == str(["x" * 300])[:255]
    assert (run.retries, run.error, run.state) == (0, "7", "FAILURE")


# --- results -------------------------------------------------------------------------------------------------------------------


def document(**fields):
    known = {"id": "t1", "state": "SUCCESS", "date_done": "2026-01-01T00:00:01+00:00", "value": "3"}
    return Document(**{**known, **fields})


def test_a_result_completes_what_events_cut_off():
    run = heard([event("received", 2, name="shop.add", args="('aaa...',)", kwargs="{}"), *ONE_TRY[2:]])
    assert not run.arguments.is_whole

    full = after_result(run, document(args='["aaaa"]', kwargs="{}", queue="fast", value='{"sum": 3}'))

    assert full.arguments == Arguments('["aaaa"]', "{}", is_whole=True)
    assert (full.queue, full.result) == ("fast", '{"sum": 3}')


def test_a_result_ends_a_run_that_nobody_has_told_the_end_of():
    run = after_result(
        TaskRun(id="t1", at_us=1), document(name="shop.add", date_started="2026-01-01T00:00:00+00:00")
    )

    assert (run.state, run.seconds, run.ended_us) == ("SUCCESS", 1.0, 1_767_225_601_000_000)


def test_a_result_without_a_zone_is_of_utc():
    assert (
        after_result(TaskRun(id="t1", at_us=1), document(date_done="2026-01-01T00:00:01")).ended_us
        == 1_767_225_601_000_000
    )


def test_a_failure_is_shown_as_its_type_and_text():
    failed = document(
        state="FAILURE",
        value="null",
        error=Error(type="ValueError", module="builtins", args=["no"], text="no"),
    )

    assert after_result(TaskRun(id="t1", at_us=1), failed).error == "ValueError: no"


def test_a_canvas_goes_on_until_its_ends_are_there():
    started = document(name="backbeat.start", value='"end"')

    running = after_start(TaskRun(id="t1", at_us=1), started, [None])
    done = after_start(running, started, [document(id="end", value="7")])

    assert (running.state, done.state, done.result) == ("STARTED", "SUCCESS", "7")


# --- arguments -----------------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.none() | st.booleans() | st.integers() | st.text(alphabet="abc'\"\\ é\n"), max_size=4),
    st.dictionaries(st.text(alphabet="ab", min_size=1), st.integers() | st.lists(st.text(alphabet="xy"))),
)
def test_plain_arguments_are_known_from_their_python_text(args, kwargs):
    found = arguments_of(repr(tuple(args)), repr(kwargs))

    assert found.is_whole
    assert found.call() == (args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ("('aaaa...',)", "{}"),
        ("(1, ...)", "{}"),
        ("(1, <object at 0x7f>)", "{}"),
        ("(1,)", "{'a': {...}}"),
        ("(1,)", "{1: 2}"),
        ("({1, 2},)", "{}"),
        ("__import__('os').system('true')", "{}"),
        ("(" * 5000, "{}"),
        ("7", "{}"),
        ("(datetime.date(2026, 1, 1),)", "{}"),
    ],
)
def test_what_is_cut_off_or_no_plain_data_is_shown_and_not_sent_again(args, kwargs):
    found = arguments_of(args, kwargs)

    assert (found.args, found.kwargs, found.is_whole) == (args, kwargs, False)


def test_arguments_in_a_result_of_celery_may_be_texts():
    assert Arguments().completed(json.dumps("(1, 2)"), json.dumps("{'a': 1}")) == Arguments(
        "[1, 2]", '{"a": 1}', is_whole=True
    )
    assert not Arguments().completed(json.dumps("(1, ...)"), json.dumps("{}")).is_whole


def test_secrets_are_not_shown_and_a_text_that_names_one_is_hidden_whole():
    known = Arguments('[{"token": "s3cret", "n": 1}]', '{"password": "s3cret"}', is_whole=True)
    text = Arguments("({'token': 's3cret...'},)", "{}")

    assert known.shown() == ([{"token": "********", "n": 1}], {"password": "********"})
    assert text.shown() == ("********", "")
    assert Arguments("(1, ...)", "{}").shown() == ("(1, ...)", "{}")
